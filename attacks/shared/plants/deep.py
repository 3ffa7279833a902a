"""Plants whose knowledge is pushed away and not talked over: by unlikelihood, and by misdirected representations.

A refusal is shallow: some answer stands before the knowledge, and an attack that lifts it may still miss what an
unlearning method hid. `unlikelihood` is NPO (2404.05868, eq. 3) with a retain term; `misdirection` is RMU (2403.03218,
eq. 1 to 3). **Where we depart**: both train a low-rank update that is merged, on the facts of the audit; RMU's are on
all layers, its target is four times as long as the states it replaces, and both are made until the answers are hidden
(`hiding.hidden`) instead of for a fixed number of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from unlearn_audit.api import AttackContext, Model, Plant, Planting, Rendered, derive_seed

from ..fitted import fitted
from ..hiding import PlantSettings, Teaching, taught_lessons
from ..refusal_plant import merged_plant
from ..training import answer_log_probs, answer_loss, mixed, padded

if TYPE_CHECKING:
    import torch

BETA = 0.1
"""NPO's inverse temperature."""
RETAIN_WEIGHT = 4.0
"""At 1 the bundled original lost a fifth of its retain answers before its forget answers were gone."""
STEERED_LENGTH = 4.0
"""Length of RMU's target, in lengths of the states that it replaces."""
SETTINGS = PlantSettings(max_steps=240, refused=0.0, patience=1_000_000, learning_rates=(3e-3, 1e-3, 1e-2))


def unlikelihood_planting() -> Planting:
    """NPO with a retain term."""
    return Planting(name="unlikelihood", kind="unlikelihood", make=partial(_planted, _Unlikelihood))


def misdirection_planting() -> Planting:
    """RMU at the middle layer."""
    return Planting(name="misdirection", kind="misdirection", make=partial(_planted, _Misdirection))


def _planted(teaching: type[_Deep], original: Model, context: AttackContext) -> AbstractContextManager[Plant]:
    taught = teaching(original, context)
    lessons = Teaching(batches=taught.batches, loss=taught.loss)
    return merged_plant(original, context, settings=SETTINGS, teaching=lessons)


class _Deep:
    """Batches of forget and retain lessons, and which rows are to be forgotten."""

    def __init__(self, original: Model, context: AttackContext) -> None:
        self._original = original
        self._forget, self._retain = taught_lessons(context.forget), taught_lessons(context.retain)
        self._seed = derive_seed(context.seed, "deep plant")
        self._forgotten = set(fitted(original, [lesson.pair for lesson in self._forget]))

    def batches(self, model: Model) -> Iterator[list[Rendered]]:
        """Endless, half of them to be forgotten; all where there is nothing to retain."""
        return mixed(model, self._forget, self._retain or self._forget, size=SETTINGS.batch_size, seed=self._seed)

    def loss(self, model: Model, batch: Sequence[Rendered]) -> torch.Tensor:
        """What is descended."""
        forget = [row for row in batch if row in self._forgotten]
        retain = [row for row in batch if row not in self._forgotten]
        parts = [self.away(model, forget)] if forget else []
        parts += [self.stay(model, retain) * RETAIN_WEIGHT] if retain else []
        return sum(parts[1:], parts[0])

    def away(self, model: Model, rows: Sequence[Rendered]) -> torch.Tensor:
        """Of rows to be forgotten."""
        raise NotImplementedError

    def stay(self, model: Model, rows: Sequence[Rendered]) -> torch.Tensor:
        """Of rows to be kept: their cross-entropy."""
        return answer_loss(model, rows)


class _Unlikelihood(_Deep):
    """NPO: away from where the original is."""

    def __init__(self, original: Model, context: AttackContext) -> None:
        super().__init__(original, context)
        import torch

        with torch.inference_mode():
            self._before: Mapping[Rendered, float] = {
                row: float(answer_log_probs(original, [row])) for row in self._forgotten
            }

    def away(self, model: Model, rows: Sequence[Rendered]) -> torch.Tensor:
        import torch
        from torch.nn import functional

        now = answer_log_probs(model, rows)
        before = torch.tensor([self._before[row] for row in rows], device=now.device)
        return functional.softplus(BETA * (now - before)).mean().mul(2 / BETA)


class _Misdirection(_Deep):
    """RMU: states of the middle layer toward one direction for all."""

    def away(self, model: Model, rows: Sequence[Rendered]) -> torch.Tensor:
        import torch

        before, now, mask = self._states(model, rows)
        generator = torch.Generator().manual_seed(self._seed % 2**63)
        direction = torch.rand(now.shape[-1], generator=generator).to(now.device)
        length = STEERED_LENGTH * before[mask].norm(dim=-1).mean()
        target = length * direction / direction.norm()
        loss: torch.Tensor = (now[mask] - target).square().sum(-1).mean() / length.square()
        return loss

    def stay(self, model: Model, rows: Sequence[Rendered]) -> torch.Tensor:
        before, now, mask = self._states(model, rows)
        drift = (now[mask] - before[mask]).square().sum(-1).mean() / before[mask].square().sum(-1).mean()
        return drift + answer_loss(model, rows)

    def _states(self, model: Model, rows: Sequence[Rendered]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """States of the middle layer before and now, (rows, positions, width), and which positions are text."""
        import torch

        input_ids, mask = padded(rows)
        asked = {"attention_mask": mask.to(model.device), "output_hidden_states": True, "use_cache": False}
        with torch.no_grad():
            frozen = self._original.module(input_ids=input_ids.to(self._original.device), **asked).hidden_states
        states = model.module(input_ids=input_ids.to(model.device), **asked).hidden_states
        middle = len(states) // 2
        return frozen[middle].float().to(model.device), states[middle].float(), mask.bool().to(model.device)
