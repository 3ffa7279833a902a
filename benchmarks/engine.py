"""What sharing a prompt's pass saves: 20 options a question scored with and without it, on a bundled organism.

    make bench

Prints both times and their ratio, measured one after the other in one run, and the largest difference of the scores.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from unlearn_audit.api import FactSet, Prompt
from unlearn_audit.demo import ASSETS
from unlearn_audit.facts.load import load_facts
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import resolve
from unlearn_audit.spec.spec import ModelOptions

OPTIONS = 20


def seconds(engine: Engine, pairs: list[tuple[Prompt, str]]) -> tuple[float, list[float]]:
    """The time that scoring takes, and the scores."""
    begun = time.perf_counter()
    scores = engine.score(pairs)
    return time.perf_counter() - begun, [score.log_likelihood for score in scores]


def main() -> None:
    """Measures and prints."""
    torch.set_num_threads(1)
    engine = load(resolve(str(ASSETS / "original")), ModelOptions(device="cpu"))
    facts = load_facts(str(ASSETS / "facts" / "forget.jsonl"), FactSet.FORGET).facts
    answers = sorted({fact.answer or "" for fact in facts})[:OPTIONS]
    pairs = [(Prompt(text=fact.question or ""), answer) for fact in facts for answer in answers]
    seconds(engine, pairs[:200])  # warm up
    shared, one = seconds(engine, pairs)
    plain, two = seconds(replace(engine, shares_prefixes=False), pairs)
    gap = max(abs(left - right) for left, right in zip(one, two, strict=True))
    print(f"{len(pairs)} pairs: plain {plain:.2f} s, shared {shared:.2f} s, ratio {plain / shared:.1f}, gap {gap:.1e}")


if __name__ == "__main__":
    main()
