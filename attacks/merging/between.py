"""A model moved toward another one in its weights, wholly or in some of its blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeAlias

from unlearn_audit.api import AttackError, Json, Model, NotApplicableError

if TYPE_CHECKING:
    import torch

Share: TypeAlias = "Callable[[str], float]"
"""Of a parameter, by its name: how far it goes. 0 stays, 1 is the other model's, 2 is as far again beyond it."""

HALVES = ("lower", "upper")


@contextmanager
def toward(model: Model, other: torch.nn.Module, share: Share) -> Iterator[tuple[Model, dict[str, Json]]]:
    """A fork with the weights W + s (O - W), and the proof: how many tensors moved, and how far relative to W.

    Args:
        model: stays as it is; an adapter is merged first.
        other: a plain module of the same architecture, on any device.
        share: s, by the name of a parameter.

    Raises:
        AttackError: a weight is stored as codes, which cannot be moved.
        NotApplicableError: the two are not of one shape.
    """
    import torch

    theirs = dict(other.named_parameters(remove_duplicate=False))  # what is tied here need not be there
    with ExitStack() as stack:
        with torch.inference_mode(mode=False), torch.no_grad():
            fork = stack.enter_context(model.merged())
            moved, way, size = move(fork.module, theirs, share)
        yield fork, {"tensors_moved": moved, "relative_distance": (way / size) ** 0.5 if size else 0.0}


def move(module: torch.nn.Module, theirs: Mapping[str, torch.Tensor], share: Share) -> tuple[int, float, float]:
    """Moves a fork's weights; how many tensors moved, and the squared lengths of the way and of those weights.

    Raises:
        AttackError: a weight is stored as codes.
        NotApplicableError: the other has no weight of that name and shape.
    """
    import torch

    moved, way, size = 0, 0.0, 0.0
    for name, weight in module.named_parameters():
        if not (far := share(name)):
            continue
        there = theirs.get(name)
        if there is None or there.shape != weight.shape:
            shape = "x".join(map(str, weight.shape))
            raise NotApplicableError(f"the other model has no {name} of {shape}: they are not of one architecture")
        if not (weight.is_floating_point() and there.is_floating_point()):
            raise AttackError(f"{name} holds {weight.dtype} codes; give a model that is not quantized (--base)")
        own, goal = weight.float(), there.to(weight.device).float()
        size += float(own.square().sum())
        if torch.equal(own, goal):
            continue
        moved += 1
        new = torch.lerp(own, goal, far)
        way += float((new - own).square().sum())
        weight.data = new.to(weight.dtype)  # in place of the shared storage, which stays as it is
    return moved, way, size


def everywhere(far: float) -> Share:
    """The same share for all weights."""
    return lambda _: far


def half(model: Model, which: str) -> Share:
    """All of the blocks of the lower or upper half, and nothing of the rest.

    Raises:
        NotApplicableError: the model has fewer than two blocks, or no list of them.
    """
    from ..shared.residual_stream import residual_stream

    with model.merged() as fork:
        blocks = residual_stream(fork).blocks
        if len(blocks) < 2:
            raise NotApplicableError("the model has one block, and no half of them can be swapped")
        names = {part: name for name, part in fork.module.named_modules()}
        chosen = blocks[: len(blocks) // 2] if which == HALVES[0] else blocks[len(blocks) // 2 :]
        begin = tuple(f"{names[block]}." for block in chosen)
    return lambda name: float(name.startswith(begin))
