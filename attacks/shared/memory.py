"""Whether full fine-tuning fits into the memory of this machine."""

from __future__ import annotations

FLOAT32_COPIES = 4
ACTIVATION_RESERVE = 1.25
GIB = 2**30


def full_training_shortage(weight_bytes: int, *, is_adapter: bool, beside: int = 0) -> str | None:
    """Why full fine-tuning does not fit, with the numbers; None where it does.

    Needed are the trained copy, its gradients and the two moments of AdamW, all in float32 (16 bytes a parameter), a
    merged copy where the checkpoint is an adapter, and a quarter more for activations, which is a rule of thumb.

    Args:
        weight_bytes: what all weights take in float32.
        is_adapter: the checkpoint is a base with an adapter.
        beside: further copies of all weights in float32 that are held meanwhile.
    """
    needed = int(weight_bytes * (FLOAT32_COPIES + is_adapter + beside) * ACTIVATION_RESERVE)
    available, where = available_bytes()
    if needed <= available:
        return None
    return (
        f"full fine-tuning needs about {needed / GIB:.1f} GiB (float32 weights, gradients, two AdamW moments, a "
        f"quarter more for activations); {available / GIB:.1f} GiB are free on {where}"
    )


def available_bytes() -> tuple[int, str]:
    """Free memory where models are put, and the name of that place: the CUDA device if there is one, else the host."""
    import torch

    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return int(free), "the CUDA device"
    import psutil

    return int(psutil.virtual_memory().available), "this machine"
