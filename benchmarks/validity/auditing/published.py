"""What others measure, on our models: the figures of TOFU and open-unlearning as scores.

Where a figure has a published criterion, it is applied. A row's score is turned: higher means more knowledge. The
figures are those of `run --metrics`, measured here on facts files in the place of a benchmark's own: the wrong answers
of a question are the right ones of other subjects.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.validity.auditing.contract import Answer, Request
from benchmarks.validity.paths import code_digest
from unlearn_audit.models.loading import loaded
from unlearn_audit.models.references import resolve
from unlearn_audit.run.published import tofu
from unlearn_audit.run.published.sequences import Labels
from unlearn_audit.spec.spec import ModelOptions
from unlearn_audit.verdict.result import Outcome

NAME = "published"
MOST_ROWS = 120
WRONG_ANSWERS = 3
NEW_TOKENS = 24
FORGOTTEN_FROM = 0.05
"""TOFU (arXiv 2401.06121, section 2.2.2): a p-value of the Kolmogorov-Smirnov test above it calls for a pass."""

LEAKS_WITHIN = 5.0
"""MUSE (arXiv 2407.06460, table 3): a PrivLeak from -5 to 5 per cent is called good."""

Row = Mapping[str, Any]


def judge(request: Request) -> dict[str, Answer]:
    """All rows of one checkpoint; the first control is the retrained model of the figures that need one."""
    busy = time.process_time()
    own = _measured(request.checkpoint, request.forget, request.holdout)
    control = _of_control(request.retrained[0], request.forget, request.holdout)
    figures = {one.name: one.value for one in tofu.against(own, control)}
    seconds, code = round(time.process_time() - busy, 1), code_digest()
    return {
        name: Answer(score=score, verdict=verdict, seconds=seconds, code=code)
        for name, (score, verdict) in criteria(figures).items()
    }


def criteria(figures: Mapping[str, float | None]) -> dict[str, tuple[float, Outcome | None]]:
    """Row -> score and verdict, of the figures that there are."""
    turned = {
        "extraction strength": ("extraction_strength", 1.0, 0.0),
        "probability": ("forget_Q_A_Prob", 1.0, 0.0),
        "ROUGE-L recall": ("forget_Q_A_ROUGE", 1.0, 0.0),
        "truth ratio": ("forget_truth_ratio", -1.0, 1.0),
        "KS forget quality": ("forget_quality", -1.0, 0.0),
        "PrivLeak": ("privleak", -1.0, 0.0),
        "min-k++": ("mia_min_k_plus_plus", 1.0, 0.0),
    }
    found = {}
    for row, (name, sign, start) in turned.items():
        value = figures.get(name)
        if value is not None:
            found[row] = (start + sign * value, _by_criterion(row, value))
    return found


def _by_criterion(row: str, value: float) -> Outcome | None:
    if row == "KS forget quality":
        return Outcome.PASS if value > FORGOTTEN_FROM else Outcome.FAIL
    if row == "PrivLeak":
        return Outcome.PASS if abs(value) <= LEAKS_WITHIN else Outcome.FAIL
    return None


def _measured(checkpoint: str, forget: str, holdout: str) -> tofu.Raw:
    rows = {"forget": rows_of(Path(forget)), "holdout": rows_of(Path(holdout))}
    with loaded(resolve(checkpoint), ModelOptions()) as engine:
        template = engine.tokenizer.chat_template
        way = tofu.Way(
            labels=Labels.ALIGNED,
            template=template if isinstance(template, str) else None,
            gradients=False,
            new_tokens=NEW_TOKENS,
        )
        return tofu.measured(engine, rows, way)


_of_control = lru_cache(maxsize=4)(_measured)


def rows_of(path: Path, most: int = MOST_ROWS) -> list[Row]:
    """Questions with right and wrong answers, evenly over the file; texts without a question are left out.

    A wrong answer is the right one with its value replaced by another subject's of the same relation: the next ones
    in the order of the alphabet, so that all models are asked alike.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    facts = [fact for fact in map(json.loads, lines) if "question" in fact]
    values: dict[str, list[str]] = {}
    for fact in facts:
        values.setdefault(fact["relation"], []).append(fact["aliases"][0])
    ordered = {relation: sorted(set(found)) for relation, found in values.items()}
    step = max(1, -(-len(facts) // most))
    return [_row(fact, ordered[fact["relation"]]) for fact in facts[::step]]


def _row(fact: Mapping[str, Any], values: Sequence[str]) -> Row:
    own = fact["aliases"][0]
    place = values.index(own)
    others = [values[(place + shift) % len(values)] for shift in range(1, WRONG_ANSWERS + 1)]
    return {
        "question": fact["question"],
        "answer": fact["answer"],
        "perturbed_answer": [fact["answer"].replace(own, other) for other in others if other != own],
    }
