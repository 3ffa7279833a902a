"""Measures what full fine-tuning takes of memory in either way, and writes docs/memory.md beside what the plan counts.

    python -m benchmarks.memory measure [NAME ...] [--way plain|frugal] [--again]
    python -m benchmarks.memory table
    python -m benchmarks.memory gpu [NAME]

`gpu` trains one model in bfloat16 in both ways, as far as they fit, and rounds it to NF4, int8 and Q4_0: about ten
minutes on one GPU; where there is none it says so and does nothing. `measure` adds to `results.json` what is not in it,
each in a process of its own; models of a billion weights and more are measured where there is a GPU, and left out
where there is none. Under half an hour of one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from unlearn_audit.attacks.shared.memory import GIB, full_training_bytes

from benchmarks.memory.measuring import measured, rounded
from benchmarks.memory.models import LARGEST_ON_CPU, MODELS, WARM_UP, audited, extent_of_model
from benchmarks.memory.page import write

RESULTS = Path(__file__).with_name("results.json")
WAYS = ("plain", "frugal")


def main() -> None:
    """Measures, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("measure", "table", "gpu"))
    parser.add_argument("names", nargs="*")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    if asked.step == "gpu":
        _on_a_gpu(*asked.names[:1])
        return
    if asked.step == "measure":
        for name in asked.names or [name for name in MODELS if name != WARM_UP]:
            for way in (asked.way,) if asked.way else WAYS:
                if asked.again or f"{name}, {way}" not in _rows():
                    _measure(name, way)
    write(_rows())


def _on_a_gpu(name: str = "llama 8.0 B") -> None:
    """Prints a line for each way of training and each quantizer of one model."""
    if not torch.cuda.is_available():
        print(f"{name}: there is no GPU here; nothing was run")
        return
    free, _ = torch.cuda.mem_get_info()
    for way in WAYS:
        counted = full_training_bytes(audited(name), MODELS[name].full_batch, frugal=way == "frugal")
        if counted > free:
            print(f"{name}, {way}: left out, {counted / GIB:.1f} GiB are counted and {free / GIB:.1f} GiB are free")
            continue
        _measure(name, way)
        print(f"{name}, {way}: {counted / GIB:.1f} GiB counted", flush=True)
    for quantizer in ("nf4", "int8", "q4_0"):
        print(f"{name}, {quantizer}: {rounded(name, quantizer)}", flush=True)


def _rows() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    return found


def _measure(name: str, way: str) -> None:
    if extent_of_model(name).weights > LARGEST_ON_CPU and not torch.cuda.is_available():
        print(f"{name}, {way}: left out, there is no GPU here")
        return
    row = measured(name, way)
    rows = {**_rows(), f"{name}, {way}": row}  # another process may have added to them
    order = [f"{one}, {each}" for one in MODELS for each in WAYS]
    RESULTS.write_text(json.dumps({key: rows[key] for key in order if key in rows}, indent=1) + "\n", encoding="utf-8")
    print(f"{name}, {way}: {row}", flush=True)


if __name__ == "__main__":
    main()
