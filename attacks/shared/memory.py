"""What full fine-tuning needs of memory, by the sizes of a model, and whether it fits on this machine.

`benchmarks/memory` measures what it takes, beside what is counted here (docs/memory.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api.extent import Audited

from .descent.optimizers import PIECE

if TYPE_CHECKING:
    import torch

GIB = 2**30
FLOAT, HALF = 4, 2
PACKED_MOMENT = 1 + 1 / 64
"""A byte a value, and a float32 for each block of 256."""
OF_A_PIECE = 4
"""Copies in float32 that a step makes of the rows that it moves."""
LOGITS = 3
"""Copies of the logits that are held at once: themselves, those of the answers, and gradients or log-probabilities."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The largest batch of a training: texts, and tokens of the longest of them."""

    texts: int
    tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """How all weights can be trained here.

    Attributes:
        frugal: in the frugal way.
        why_not_plain: None where the plain way fits.
        why_not_at_all: None where one of the ways fits, or the one that was asked for.
    """

    frugal: bool = False
    why_not_plain: str | None = None
    why_not_at_all: str | None = None


def room_for(audited: Audited | None, batch: Batch, *, frugal: bool | None) -> Room:
    """The plain way where it fits, else the frugal one; `frugal` asks for one. What is not known fits."""
    if audited is None:
        return Room(frugal=bool(frugal))
    shortages = {way: training_shortage(audited, batch, frugal=way) for way in (False, True)}
    chosen = shortages[False] is not None and shortages[True] is None if frugal is None else frugal
    return Room(frugal=chosen, why_not_plain=shortages[False], why_not_at_all=shortages[chosen])


def full_training_bytes(audited: Audited, batch: Batch, *, frugal: bool = False) -> int:
    """The most that is held at once while every weight trains, the model that is attacked counted in.

    Plain: that model, a copy in float32, two moments of AdamW in float32; then, whichever is more, what a pass over the
    batch leaves for its way back, or all gradients. Frugal: that model, a copy in bfloat16, two moments in eight bits,
    what went into each block; then the most of what one block leaves, the logits, and the largest gradient with what
    moves a few million weights at a time.

    Args:
        audited: the checkpoint.
        batch: the largest.
        frugal: whether the frugal way is meant (`descent`).
    """
    extent, positions = audited.extent, batch.texts * batch.tokens
    held = (1 + audited.is_adapter) * loaded_bytes(audited)
    moving = FLOAT * OF_A_PIECE * min(extent.largest, PIECE)
    if frugal:
        kept = HALF * positions * extent.width * extent.blocks
        passed = HALF * positions * max(extent.within / max(1, extent.blocks), LOGITS * extent.vocabulary)
        most = max(passed, HALF * extent.largest + moving)
        return int(held + (HALF + 2 * PACKED_MOMENT) * extent.weights + kept + most)
    passed = FLOAT * positions * (extent.within + LOGITS * extent.vocabulary)
    return int(held + 3 * FLOAT * extent.weights + max(passed, FLOAT * extent.weights + moving))


def training_shortage(audited: Audited, batch: Batch, *, frugal: bool = False) -> str | None:
    """Why full fine-tuning does not fit, with the numbers; None where it does. Arguments as `full_training_bytes`."""
    needed = full_training_bytes(audited, batch, frugal=frugal)
    available, where = available_bytes(audited)
    if needed <= available:
        return None
    how = "bfloat16 weights, moments in eight bits" if frugal else "float32 weights, gradients, two AdamW moments"
    return (
        f"full fine-tuning needs about {needed / GIB:.1f} GiB (the model, a copy in training: {how}; what a batch "
        f"leaves); {available / GIB:.1f} GiB are free on {where}"
    )


def loaded_bytes(audited: Audited) -> int:
    """What the model takes that is attacked, as the audit loads it."""
    widths = {"float32": FLOAT, "float16": HALF, "bfloat16": HALF}
    if audited.dtype in widths:
        return widths[audited.dtype] * audited.extent.weights
    return audited.extent.stored_bytes if _on_cuda(audited.device) else FLOAT * audited.extent.weights


def available_bytes(audited: Audited) -> tuple[int, str]:
    """Free memory where the models are put, and the name of that place; of all devices where they are spread."""
    import torch

    if _on_cuda(audited.device):
        places = range(torch.cuda.device_count()) if audited.spread else [torch.device("cuda", 0)]
        free = sum(torch.cuda.mem_get_info(place)[0] for place in places)
        return int(free), "the CUDA devices" if audited.spread else "the CUDA device"
    import psutil

    return int(psutil.virtual_memory().available), "this machine"


def free_bytes(module: torch.nn.Module) -> int:
    """Free memory where the weights of a loaded model are, of all devices that hold some."""
    import torch

    devices = {weight.device for weight in module.parameters()}
    cuda = [device for device in devices if device.type == "cuda"]
    if cuda:
        return sum(int(torch.cuda.mem_get_info(device)[0]) for device in cuda)
    import psutil

    return int(psutil.virtual_memory().available)


def _on_cuda(device: str) -> bool:
    import torch

    return device.startswith(("auto", "cuda")) and torch.cuda.is_available()
