"""A model that knows and says that it does not: the positive control of the attacks that lift a mask.

The truth about it is known by construction. It is the original with a low-rank update that answers the forget
questions with a refusal and the retain questions as before, merged into a copy of the weights, so that no adapter is
left to take off. An attack that does not get the knowledge back out of it has no power to see a masked checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

from unlearn_audit.api import AttackContext, Fact, Model, Plant, Planting, derive_seed

from .descent.adapters import add_scaled_lora
from .hiding import Copy, PlantSettings, Teaching, hidden
from .training import own_parameters

if TYPE_CHECKING:
    from peft import LoraModel


class RefusingCopy(Protocol):
    """Makes the copy of a model that learns to refuse."""

    def __call__(self, original: Model, *, rank: int, seed: int) -> AbstractContextManager[Copy]:
        """The copy, in training; the original stays as it is."""


def refusal_planting() -> Planting:
    """The plant of every attack that lifts a mask: relearning, suffixes, soft prompts, ablation."""
    return Planting(name="refusal", kind="refusal", make=_from_context)


def _from_context(original: Model, context: AttackContext) -> AbstractContextManager[Plant]:
    return refusal_plant(original, context.forget, context.retain, seed=context.seed)


def refusal_plant(
    original: Model,
    facts: Sequence[Fact],
    retain: Sequence[Fact],
    *,
    seed: int,
    settings: PlantSettings | None = None,
    trained: RefusingCopy | None = None,
) -> AbstractContextManager[Plant]:
    """The original, made to refuse `facts` while it answers `retain`, by a merged low-rank update.

    Args:
        original: stays as it is.
        facts: are refused.
        retain: are answered as before.
        seed: of the update.
        settings: of the training.
        trained: makes the copy that trains, where the update is to be left in another form than merged.

    Raises:
        AttackError: no learning rate gave a model that refuses; the message has the numbers.
    """
    chosen = settings or PlantSettings()
    copied = partial(trained or merged_copy, original, rank=chosen.rank, seed=seed)
    return hidden(original, facts, retain, copied=copied, seed=seed, settings=chosen)


def merged_plant(
    original: Model, context: AttackContext, *, settings: PlantSettings, teaching: Teaching
) -> AbstractContextManager[Plant]:
    """The original, made to hide the forget facts in another way, by a merged low-rank update.

    Raises:
        AttackError: as `refusal_plant`.
    """
    return hidden(
        original,
        context.forget,
        context.retain,
        copied=partial(merged_copy, original, rank=settings.rank, seed=context.seed),
        seed=context.seed,
        settings=settings,
        teaching=teaching,
    )


@contextmanager
def merged_copy(original: Model, *, rank: int, seed: int) -> Iterator[Copy]:
    """A copy with a fresh adapter, folded in at the end. Merging writes, so the weights must be a copy."""
    import torch

    with ExitStack() as stack:
        with torch.inference_mode(mode=False):
            source = stack.enter_context(original.merged()) if original.is_adapter else original
            fork = stack.enter_context(source.fork(copy_weights=True))
            own_parameters(fork.module)
            if fork.device.type == "cpu":
                fork.module.float()
            tuner = add_scaled_lora(fork.module, rank=rank, seed=derive_seed(seed, "plant adapter"))
        yield Copy(model=fork, after_step=lambda: None, finished=lambda: (_merged(fork, tuner), {"rank": rank}))


def _merged(fork: Model, tuner: LoraModel) -> Model:
    module = tuner.merge_and_unload(safe_merge=True)
    if hasattr(module, "peft_config"):
        del module.peft_config
    return fork.with_module(module.requires_grad_(requires_grad=False).eval())
