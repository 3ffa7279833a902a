"""Memory: telling when it runs out, giving back what is only cached, looking for garbage rarely. Loads no torch."""

from __future__ import annotations

import gc

OBJECTS = 20_000
"""New objects after which Python looks for those that only point at each other; left to itself it does so after 700."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory, on whichever device; the CPU's allocator raises a plain RuntimeError."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def release_memory() -> None:
    """Gives cached device memory back."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def collect_rarely() -> None:
    """Has this process look for dead cycles of objects rarely; for processes of our own, not for a host's.

    The libraries of a model make a million objects that stay, and each look goes through all that are young: 3.8 of
    the 27.6 seconds of a plan of the bundled models, and 1.5 of them this way.
    """
    gc.set_threshold(OBJECTS)
