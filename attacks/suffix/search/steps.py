"""The loop of greedy coordinate gradient, for several texts at once (see `greedy_coordinate`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from unlearn_audit.api import AttackError, Model, derive_seed

from .drafts import rough_copy
from .goals import Found, Goal, SearchSettings
from .losses import CPU_TOKENS, GPU_TOKENS, Row, Slope, SlotLosses
from .tokens import Frame, Slot, allowed_ids, framed, initial_text, is_stable, text_of

MOST_ROUNDS = 8
"""How many times `width` candidates are drawn at most until enough of them are stable."""

TABLE_ROWS = 16384
"""Embedding rows that are ranked at once."""

DRAFTED = "gradients and candidates by a copy in bfloat16, reported losses by the model itself"


@dataclass
class Hunt:
    """One text in the making: the goals that share it, and where the search stands.

    Attributes:
        places: where the goals' frames are among those of all hunts.
    """

    goals: tuple[Goal, ...]
    frames: tuple[Frame, ...]
    places: slice
    slot: Slot
    generator: np.random.Generator
    losses: list[float] = field(default_factory=list)
    best: Slot = ()
    best_step: int = 0
    scored: int = 0
    unstable: int = 0
    refused: int = 0


Candidate = tuple[Slot, int]
"""A text, and the first place where it differs from the present one."""

Tokens = npt.NDArray[np.int64]


def running(
    model: Model,
    hunts: Sequence[tuple[Goal, ...]],
    settings: SearchSettings,
    *,
    seeds: Sequence[int],
    refuses: Callable[[str], bool],
    initial: Sequence[str] = (),
) -> Iterator[list[Found]]:
    """One text for each group of goals: after each step the best so far of each.

    `initial` is the text that each begins with; empty where all begin as the settings say.
    """
    if not hunts or not all(hunts):
        raise AttackError("a search for adversarial text needs at least one question and target")
    with ExitStack() as stack:
        fork = stack.enter_context(model.fork())
        for parameter in fork.module.parameters():
            if type(parameter) is torch.nn.Parameter:
                parameter.requires_grad = False
        states = _begun(fork, hunts, settings, seeds, initial or [settings.initial] * len(hunts))
        tokens = settings.batch_tokens or (CPU_TOKENS if fork.device.type == "cpu" else GPU_TOKENS)
        frames = [frame for state in states for frame in state.frames]
        exact = SlotLosses(fork.module, frames, _slots(states), fork.device, tokens)
        slopes = exact.begin(_slots(states))
        rough = rough_copy(fork, exact, frames, _slots(states), slopes, stack) if settings.drafted else None
        table = fork.module.get_input_embeddings()  # type: ignore[operator]
        allowed = allowed_ids(fork.tokenizer, _rows(table), settings.allowed)
        _record(states, slopes)
        for _ in range(settings.steps):
            gradients = [_mean_gradient(slopes[state.places]) for state in states]
            ranked = best_tokens(table, gradients, [state.slot for state in states], allowed, settings.top_k)
            drawn = [draw(fork, state, best, settings, refuses) for state, best in zip(states, ranked, strict=True)]
            _choose(fork, rough or exact, states, drawn, settings, refuses)
            slopes = _slopes(exact, rough, _slots(states))
            _record(states, slopes)
            notes = (*exact.events, *([] if rough is None else [DRAFTED, *rough.events]))
            yield [_found(fork, state, notes) for state in states]


def _begun(
    model: Model,
    hunts: Sequence[tuple[Goal, ...]],
    settings: SearchSettings,
    seeds: Sequence[int],
    initial: Sequence[str | None],
) -> list[Hunt]:
    states: list[Hunt] = []
    row = 0
    for goals, seed, given in zip(hunts, seeds, initial, strict=True):
        text = given
        if text is None:
            text = initial_text(model, goals[0], length=settings.length, position=settings.position)
        framings = [framed(model, goal, text, settings.position) for goal in goals]
        slots = {slot for _, slot in framings}
        if len(slots) > 1:
            raise AttackError(
                f"the text {text!r} is tokenized in {len(slots)} ways within these prompts; give prompts of one kind "
                f"(all with a chat, or all without)"
            )
        states.append(
            Hunt(
                goals=goals,
                frames=tuple(frame for frame, _ in framings),
                places=slice(row, row + len(goals)),
                slot=slots.pop(),
                generator=np.random.default_rng(derive_seed(seed, "candidates")),
            )
        )
        row += len(goals)
    return states


def _choose(
    model: Model,
    scorer: SlotLosses,
    states: Sequence[Hunt],
    drawn: Sequence[Sequence[Candidate]],
    settings: SearchSettings,
    refuses: Callable[[str], bool],
) -> None:
    """Goes on with the best candidate of each hunt that is stable in all its goals, if there is one."""
    ranked = _ranked(scorer, states, drawn)
    if settings.merged:
        merged = [
            _merged(model, state, [candidate for _, candidate in found], settings, refuses)
            for state, found in zip(states, ranked, strict=True)
        ]
        others = _ranked(scorer, states, merged)
        ranked = [sorted([*one, *two], key=lambda found: found[0]) for one, two in zip(ranked, others, strict=True)]
    for state, found in zip(states, ranked, strict=True):
        slots = (slot for _, (slot, _) in found)
        state.slot = next((slot for slot in slots if _is_stable_in_all(model, state, slot, settings)), state.slot)


def _merged(
    model: Model,
    state: Hunt,
    best: Sequence[Candidate],
    settings: SearchSettings,
    refuses: Callable[[str], bool],
) -> list[Candidate]:
    """The two best changes at different places together, the three best, and so on."""
    first: dict[int, Candidate] = {}
    for slot, changed in best:
        first.setdefault(changed, (slot, changed))
    found: list[Candidate] = []
    slot, earliest = state.slot, len(state.slot)
    for other, changed in list(first.values())[: settings.merged + 1]:
        slot = (*slot[:changed], other[changed], *slot[changed + 1 :])
        earliest = min(earliest, changed)
        if slot != other and _may_be(model, state, slot, settings, refuses):
            found.append((slot, earliest))
    return found


def _may_be(model: Model, state: Hunt, slot: Slot, settings: SearchSettings, refuses: Callable[[str], bool]) -> bool:
    """Whether the text stays whole in the first goal, and the caller would have it. Counts what is scored."""
    if not is_stable(model, state.goals[0], state.frames[0], slot, settings.position):
        state.unstable += 1
        return False
    if refuses(text_of(model, slot)):
        state.refused += 1
        return False
    state.scored += 1
    return True


def _record(states: Sequence[Hunt], slopes: Sequence[Slope]) -> None:
    """Notes the present texts' losses."""
    for state in states:
        loss = math.fsum(slope.loss for slope in slopes[state.places]) / len(state.goals)
        if not state.losses or loss < min(state.losses):
            state.best, state.best_step = state.slot, len(state.losses)
        state.losses.append(loss)


def _slopes(exact: SlotLosses, rough: SlotLosses | None, slots: Sequence[Slot]) -> list[Slope]:
    """Of the present texts: gradients by the draft where there is one, losses by the model itself."""
    if rough is None:
        return exact.slopes(slots)
    losses = exact.losses([Row(frame=place, slot=slot, changed=0) for place, slot in enumerate(slots)])
    return [replace(slope, loss=loss) for slope, loss in zip(rough.slopes(slots), losses, strict=True)]


def _mean_gradient(slopes: Sequence[Slope]) -> torch.Tensor:
    return torch.stack([slope.gradient for slope in slopes]).mean(0)


def best_tokens(
    table: torch.nn.Module,
    gradients: Sequence[torch.Tensor],
    slots: Sequence[Slot],
    allowed: Sequence[int],
    top_k: int,
) -> list[Tokens]:
    """For each place of each slot the allowed tokens that lower the mean loss most, by its first-order estimate.

    The present token is not among them. A constant factor between the table's output and what a layer reads alters
    nothing in the order. `gradients` are those of the mean loss at each slot's input embeddings, (slot, width).

    Returns:
        Token ids for each slot, best first, shape (slot, at most `top_k`).
    """
    rows = torch.cat(list(gradients))
    with torch.inference_mode(mode=False), torch.no_grad():
        present = torch.tensor([token for slot in slots for token in slot], device=rows.device)[:, None]
        most = max(1, min(top_k, len(allowed) - 1))
        gains, best = rows.new_zeros((len(rows), 0)), present[:, :0]
        for ids in torch.split(torch.tensor(allowed, device=rows.device), TABLE_ROWS):  # the table is read once for all
            more = -(rows @ torch.as_tensor(table(ids)).float().T)
            more[ids[None] == present] = -math.inf
            some, at = more.topk(min(most, len(ids)), dim=1)
            gains, best = torch.cat([gains, some], dim=1), torch.cat([best, ids[at]], dim=1)
            gains, at = gains.topk(min(most, gains.shape[1]), dim=1)
            best = best.gather(1, at)
    return [np.asarray(part.cpu()) for part in torch.split(best, [len(slot) for slot in slots])]


def draw(
    model: Model,
    state: Hunt,
    ranked: Tokens,
    settings: SearchSettings,
    refuses: Callable[[str], bool],
) -> list[Candidate]:
    """Different texts with one token changed, place and token drawn evenly: `width` of them, if so many are stable.

    Stable is judged in the first goal here, and in all goals when a text is chosen.
    """
    found: list[Candidate] = []
    seen: set[Slot] = set()
    for _ in range(MOST_ROUNDS):
        places = state.generator.integers(0, len(state.slot), settings.width)
        ranks = state.generator.integers(0, ranked.shape[1], settings.width)
        for place, rank in zip(places.tolist(), ranks.tolist(), strict=True):
            slot = (*state.slot[:place], int(ranked[place, rank]), *state.slot[place + 1 :])
            if slot in seen or len(found) == settings.width:
                continue
            seen.add(slot)
            if _may_be(model, state, slot, settings, refuses):
                found.append((slot, place))
        if len(found) == settings.width:
            break
    return found


def _ranked(
    scorer: SlotLosses, states: Sequence[Hunt], texts: Sequence[Sequence[Candidate]]
) -> list[list[tuple[float, Candidate]]]:
    """Each hunt's candidates with their mean loss over its goals, lowest first."""
    rows = [
        Row(frame=frame, slot=slot, changed=changed)
        for state, candidates in zip(states, texts, strict=True)
        for slot, changed in candidates
        for frame in range(state.places.start, state.places.stop)
    ]
    found = iter(scorer.losses(rows) if rows else [])
    return [
        sorted(
            ((math.fsum(next(found) for _ in state.goals) / len(state.goals), one) for one in candidates),
            key=lambda pair: pair[0],
        )
        for state, candidates in zip(states, texts, strict=True)
    ]


def _is_stable_in_all(model: Model, state: Hunt, slot: Slot, settings: SearchSettings) -> bool:
    """Whether the text stays whole in the goals behind the first, in which it was seen to."""
    others = zip(state.goals[1:], state.frames[1:], strict=True)
    return all(is_stable(model, goal, frame, slot, settings.position) for goal, frame in others)


def _slots(states: Sequence[Hunt]) -> list[Slot]:
    return [state.slot for state in states for _ in state.goals]


def _rows(table: torch.nn.Module) -> int:
    count = getattr(table, "num_embeddings", None)
    return int(count if count is not None else table.weight.shape[0])  # type: ignore[index]


def _found(model: Model, state: Hunt, notes: tuple[str, ...]) -> Found:
    return Found(
        text=text_of(model, state.best),
        loss=min(state.losses),
        step=state.best_step,
        losses=tuple(state.losses),
        tokens=len(state.best),
        scored=state.scored,
        unstable=state.unstable,
        refused=state.refused,
        notes=notes,
    )
