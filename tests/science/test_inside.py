"""Probes of the inside on organisms: what the last block keeps back is found, what was never learned is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from unlearn_audit.probes.comparisons.concepts import Concepts, ConceptsParameters
from unlearn_audit.probes.comparisons.unlearning_depth import UnlearningDepth, UnlearningDepthParameters
from unlearn_audit.probes.lens.probe import Lens
from unlearn_audit.probes.recall import Recall

from tests.science.last_block_organism import unlearned_in_the_last_block
from tests.science.organisms import bundled, first_subjects
from unlearn_audit.api import FactSet, Profile, Role
from unlearn_audit.api.comparison import Compared, ComparisonContext, GroupReading
from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.records import GroupRecord
from unlearn_audit.verdict.findings.comparisons import status_of

pytestmark = pytest.mark.science

SUBJECTS, POOL = 8, 64
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


@cache
def depths(name: str) -> tuple[GroupReading, ...]:
    """Unlearning depth of an organism, of two controls."""
    context = ComparisonContext(
        facts={FactSet.FORGET: first_subjects(FactSet.FORGET, SUBJECTS)}, profile=Profile.QUICK, seed=0
    )
    comparison = UnlearningDepth(UnlearningDepthParameters())
    models: dict[str, Any] = {one: bundled(one) for one in ("original", "retrained-1", "retrained-2")}
    models["unlearned"] = unlearned_in_the_last_block() if name == "last-block" else bundled(name)
    own = {one: comparison.extract(model, context) for one, model in models.items()}
    crossed = comparison.cross(
        models["original"],
        own["original"],
        {one: features for one, features in own.items() if one != "original"},
        context,
    )
    compared = [
        Compared(
            role=Role(one.partition("-")[0]), name=one, features={**own[one], **(crossed if one == "original" else {})}
        )
        for one in models
    ]
    return tuple(comparison.compare(compared, context))


def test_the_depth_of_unlearning_tells_a_mask_from_a_model_that_never_knew() -> None:
    original, hidden, *_ = depths("last-block")
    assert original.estimate == pytest.approx(0.0, abs=0.01)
    assert hidden.estimate is not None
    assert hidden.estimate < 0.3
    assert status_of(GroupRecord.model_validate(dict(hidden)), margin=0.1) is Status.FAILED
    never = depths("retrained-3")[1]
    assert never.estimate is not None
    assert never.estimate > 0.7
    assert status_of(GroupRecord.model_validate(dict(never)), margin=0.1) is Status.PASSED


def test_the_depth_is_read_block_by_block() -> None:
    blocks = {one.variant: one.estimate for one in depths("last-block") if one.measure == "erased"}
    assert [blocks["block 1"], blocks["block 2"]] == pytest.approx([0.0, 0.0], abs=0.01)
    assert (blocks["block 3"] or 0.0) > 0.2


def test_what_wrote_an_answer_still_does_in_a_mask_and_not_where_it_was_never_learned() -> None:
    context = ComparisonContext(
        facts={FactSet.FORGET: first_subjects(FactSet.FORGET, 16)}, profile=Profile.QUICK, seed=0
    )
    comparison = Concepts(ConceptsParameters())
    original = comparison.extract(bundled("original"), context)
    crossed = {
        name: {
            **original,
            **comparison.cross(model, original, {} if name == "original" else {"original": original}, context),
        }
        for name, model in (
            ("original", bundled("original")),
            ("retrained", bundled("retrained-1")),
            ("unlearned", unlearned_in_the_last_block()),
        )
    }
    models = [Compared(role=Role(name), name=name, features=features) for name, features in crossed.items()]
    effect = {one.between[0]: one for one in comparison.compare(models, context) if one.measure == "effect"}
    assert (effect["original"].lower or 0.0) > 0.7
    assert (effect["unlearned"].estimate or 0.0) > 0.85
    assert abs((effect["retrained"].estimate or 0.0) - 0.5) < 0.2
