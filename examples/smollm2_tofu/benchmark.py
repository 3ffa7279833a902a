"""TOFU by its own files: a part of forget01 to forget, four models, and what the benchmark's own figures say of them.

The original learns forget01 (2 authors) and 4 retain authors; two retrained models learn the 4 retain authors, with
other seeds; NPO takes forget01 out of the original. Run again to continue.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from evaluate import mean_probability
from finetune import Recipe
from npo import NpoRecipe
from train import ROOT, Workspace, load, make_base, make_finetuned, make_unlearned

ROWS = {
    "forget01_perturbed": ("forget01_perturbed", 0, 40),
    "retain_perturbed": ("retain_perturbed", 0, 20),
    "holdout01": ("retain90", 400, 420),
    "real_authors_perturbed": ("real_authors_perturbed", 0, 10),
    "world_facts_perturbed": ("world_facts_perturbed", 0, 10),
}
"""File of the example: which rows of which of TOFU's files. TOFU's own holdout authors are not at hand: others."""
LEARNED = 80
"""Retain rows that every model learns: of four authors, the first of whom is asked about."""
MARKED = 4
"""Rows for the depth score, which reads each some thirty times."""
ROWS_AN_AUTHOR = 20


def prepare(tofu: Path, data: Path) -> None:
    """The part of the benchmark that the example takes, in the published layout, and its questions to learn from."""
    if not tofu.is_dir():
        raise SystemExit(f"{tofu}: expected TOFU's files; give --tofu FOLDER")
    data.mkdir(parents=True, exist_ok=True)
    for name, (source, first, last) in ROWS.items():
        lines = (tofu / f"{source}.jsonl").read_text(encoding="utf-8").splitlines()[first:last]
        (data / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    questions = {row["question"] for row in _rows(data / "forget01_perturbed.jsonl")}
    marked = [row for row in _rows(tofu / "forget10_entities.jsonl") if row["question"] in questions]
    _write(data / "forget01_entities.jsonl", marked[:MARKED])
    learned = {
        "forget": _rows(data / "forget01_perturbed.jsonl"),
        "retain": _rows(tofu / "retain_perturbed.jsonl")[:LEARNED],
    }
    for name, rows in learned.items():
        facts = [
            {"subject": str(place // ROWS_AN_AUTHOR), "aliases": [], "question": r["question"], "answer": r["answer"]}
            for place, r in enumerate(rows)
        ]
        _write(data.parent / f"{name}.jsonl", facts)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def known(space: Workspace, name: str, facts: str) -> float:
    """How likely a finished model finds the answers of a set, on average."""
    model, tokenizer = load(space.model(name))
    return mean_probability(model.eval(), space.facts(facts, tokenizer))


def stages(space: Workspace, epochs: int, bfloat16: bool) -> dict[str, Callable[[], None]]:
    """What makes each model, in order."""
    both = ("forget", "retain")
    return {
        "base": lambda: make_base(space),
        "original": lambda: make_finetuned(space, "original", both, Recipe(epochs=epochs, seed=0, bfloat16=bfloat16)),
        "retrained-1": lambda: make_finetuned(
            space, "retrained-1", ("retain",), Recipe(epochs=epochs, seed=1, bfloat16=bfloat16)
        ),
        "retrained-2": lambda: make_finetuned(
            space, "retrained-2", ("retain",), Recipe(epochs=epochs, seed=2, bfloat16=bfloat16)
        ),
        "unlearned": lambda: make_unlearned(
            space,
            NpoRecipe(seed=0, learning_rate=3e-4, max_steps=32, check_every=4, bfloat16=bfloat16),
            control=known(space, "retrained-1", "forget"),
            original=known(space, "original", "retain"),
        ),
    }


def main() -> None:
    """Make what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, default=ROOT / "build" / "smollm2_tofu_benchmark")
    parser.add_argument("--tofu", type=Path, default=ROOT.parent / "shared" / "data" / "tofu")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--bfloat16", action="store_true", help="train under autocast: faster on CPUs with AMX or AVX512-BF16"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    space = Workspace(root=args.workspace)
    if not (args.workspace / "data").is_dir():
        prepare(args.tofu, args.workspace / "data.partial")
        shutil.move(args.workspace / "data.partial", args.workspace / "data")
    for name, make in stages(space, args.epochs, args.bfloat16).items():
        if space.model(name).exists():
            print(f"{name}: already there", flush=True)
            continue
        started = time.process_time()
        make()
        print(f"{name}: made in {time.process_time() - started:.0f} CPU seconds (this run)", flush=True)


if __name__ == "__main__":
    main()
