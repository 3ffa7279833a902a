"""Measures our engine beside its rivals on one checkpoint, and writes the table of docs/performance.md.

    python -m benchmarks.rivals training CHECKPOINT TOFU_ROWS.jsonl [--dtype bfloat16]
    python -m benchmarks.rivals answers  CHECKPOINT TOFU_ROWS.jsonl
    python -m benchmarks.rivals scores   CHECKPOINT TOFU_ROWS.jsonl --open-unlearning FOLDER
    python -m benchmarks.rivals table

`answers` needs lm_eval, `scores` a clone of open-unlearning with omegaconf. One thread; seconds are of the processor,
so that other load matters little, and only the ratio of one run is worth comparing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.rivals import answers, page, scores, training
from benchmarks.rivals.common import Asked


def main() -> None:
    """Measures, or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("training", "answers", "scores", "table"))
    parser.add_argument("checkpoint", nargs="?")
    parser.add_argument("questions", nargs="?", type=Path)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--steps", type=int, default=20, help="of a training")
    parser.add_argument("--new-tokens", type=int, default=16, help="of an answer")
    parser.add_argument("--batch", type=int, default=16, help="answers at once, of the harness")
    parser.add_argument("--open-unlearning", type=Path)
    args = parser.parse_args()
    if args.step == "table":
        page.write()
        return
    if args.checkpoint is None or args.questions is None:
        parser.error("expected a checkpoint and a file of questions")
    torch.set_num_threads(1)
    usual = {"training": 40, "answers": 64, "scores": 200}[args.step]
    asked = Asked(checkpoint=args.checkpoint, questions=args.questions, dtype=args.dtype, rows=args.rows or usual)
    if args.step == "training":
        training.compare(asked, steps=args.steps)
    elif args.step == "answers":
        answers.compare(asked, new_tokens=args.new_tokens, batch=args.batch)
    elif args.open_unlearning is None:
        parser.error("expected --open-unlearning FOLDER")
    else:
        scores.compare(asked, folder=args.open_unlearning)


if __name__ == "__main__":
    main()
