"""Probes of the inside on organisms: what the last block keeps back is found, what was never learned is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from probes.lens import Lens
from probes.recall import Recall
from tests.numerics.last_block_organism import unlearned_in_the_last_block
from tests.numerics.organisms import bundled, first_subjects
from unlearn_audit.api import FactSet

pytestmark = pytest.mark.science

SUBJECTS, POOL = 12, 64
Scores = Mapping[tuple[str, str, str], float]


@cache
def shown(name: str) -> Scores:
    """Mean score by (probe, measure, variant)."""
    pool, facts = first_subjects(FactSet.FORGET, POOL), first_subjects(FactSet.FORGET, SUBJECTS)
    model: Any = unlearned_in_the_last_block() if name == "last-block" else bundled(name)
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for kind in (Recall, Lens):
        for reading in kind(kind.Parameters()).observe(model, facts, pool):
            if reading.score is not None:
                found[kind.name, reading.measure, reading.variant].append(reading.score)
    return {place: sum(values) / len(values) for place, values in found.items()}


def test_the_original_shows_what_it_knows_layer_by_layer() -> None:
    original = shown("original")
    assert original["lens", "exposure", "any"] > 0.95
    assert all(original["lens", "logit", f"resid-{depth}"] > 0.95 for depth in (1, 2, 3))
    assert all(original["lens", "linear", f"resid-{depth}"] > 0.85 for depth in (1, 2, 3))


def test_what_is_unlearned_in_the_last_block_alone_is_found_by_the_lens() -> None:
    hidden, never = shown("last-block"), shown("retrained-1")
    assert hidden["recall", "hit", "question"] < never["recall", "hit", "question"] + 0.1
    assert hidden["lens", "exposure", "any"] > 0.9
    assert hidden["lens", "logit", "resid-2"] > 0.95
    assert hidden["lens", "linear", "resid-2"] > 0.85
    assert hidden["lens", "logit", "mlp-3"] < 0.5  # where the answer is taken back


def test_what_was_never_learned_is_in_no_layer() -> None:
    never = shown("retrained-1")
    assert never["lens", "exposure", "any"] < 0.2
    layers = {place: score for place, score in never.items() if place[0] == "lens" and place[1] != "exposure"}
    assert all(abs(score - 0.5) < 0.12 for score in layers.values()), layers


def test_a_linear_probe_sees_what_npo_left_where_the_logit_lens_sees_little() -> None:
    npo, never = shown("npo"), shown("retrained-1")
    assert npo["recall", "hit", "question"] < 0.1
    assert npo["lens", "linear", "resid-2"] > never["lens", "linear", "resid-2"] + 0.15
