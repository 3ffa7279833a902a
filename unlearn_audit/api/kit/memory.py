"""When memory runs out: telling that error from others, and giving back what is only cached. Loads no torch."""

from __future__ import annotations


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory, on whichever device; the CPU's allocator raises a plain RuntimeError."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def release_memory() -> None:
    """Gives cached device memory back."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
