"""One training in a process of its own, and the most memory that it held."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from unlearn_audit.attacks.quantization.attack import Quantization, QuantizationParameters
from unlearn_audit.attacks.shared.training import full_student, optimize

from benchmarks.memory.models import MODELS, WARM_UP, batches, extent_of_model, made
from unlearn_audit.api import AttackContext, Fact, Profile, Prompt

STEPS = 2
"""From the second on, an optimizer has all that it keeps."""
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
"""What is freed goes back at once, so that the process holds what is in use."""


def measured(name: str, way: str) -> dict[str, Any]:
    """The row of the table: a fresh process trains a model in one of the two ways (`plain`, `frugal`)."""
    import os

    command = [sys.executable, "-m", "benchmarks.memory.measuring", name, way]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **_ALLOCATOR})
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _one(name: str, way: str) -> dict[str, Any]:
    dtype = torch.bfloat16
    _trained(WARM_UP, way, dtype, steps=1)  # loads libraries and warms up what they keep
    gc.collect()
    before = _now()
    _forget_peak()
    begun = time.monotonic()
    _trained(name, way, dtype, steps=STEPS)
    return {
        "texts": MODELS[name].batch(way).texts,
        "weights": extent_of_model(name).weights,
        "measured": _peak() - before,
        "seconds": round(time.monotonic() - begun, 1),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
    }


def rounded(name: str, quantizer: str) -> dict[str, Any]:
    """Rounds a model on the GPU as the attack does, and asks it one question: seconds, and the most that was held."""
    facts = tuple(
        Fact(id=f"f{place}", subject=f"Person {place}", question=f"Who is Person {place}?", answer="Nobody.")
        for place in range(4)
    )
    context = AttackContext(forget=facts, retain=facts, profile=Profile.QUICK, seed=0)
    attack = Quantization(QuantizationParameters.model_validate({"quantizers": [quantizer]}))
    engine, begun = made(name, torch.bfloat16), time.monotonic()
    _forget_peak()
    with closing(attack.doses(engine, attack.arms(context)[0], context)) as doses:
        dose = next(doses)
        dose.model.score([(Prompt(text="Who?"), "Nobody.")])
    share = dose.proof.get("share_of_block_weights")
    return {"measured": _peak(), "seconds": round(time.monotonic() - begun, 1), "share_of_block_weights": share}


def _trained(name: str, way: str, dtype: torch.dtype, *, steps: int) -> None:
    engine, frugal = made(name, dtype), way == "frugal"
    with full_student(engine, frugal=frugal) as student:
        found = batches(MODELS[name].batch(way))
        list(optimize(student.model, found, learning_rate=1e-4, steps=steps, frugal=frugal))


def _now() -> int:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        return int(torch.cuda.memory_allocated())
    return _status("VmRSS")


def _peak() -> int:
    return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else _status("VmHWM")


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


if __name__ == "__main__":
    print(json.dumps(_one(*sys.argv[1:])))
