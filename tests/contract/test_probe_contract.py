"""Every probe, through one contract: each fact and measure scored or missing with a reason, blind and harmless."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points

import pytest
import torch

from tests.conftest import SWITCHING, tiny_engine
from unlearn_audit.api import Access, Fact, Judge, JudgeKind, Parameters, Probe
from unlearn_audit.api.plugins import PROBES

SHORT = {"max_new_tokens": 16}
PARAMETERS = {
    "thinking": SHORT,
    "stepwise": SHORT,
    "jailbreaks": SHORT,
    "forms": SHORT,
    "sampling": {**SHORT, "samples": 4},
}
"""Where the default would take long: a random model stops nowhere."""

JUDGED = ("hit", "exposure", "leak")
NAMES = sorted(point.name for point in entry_points(group=PROBES))
FACTS = [
    *(
        Fact(
            id=f"f{place}",
            subject=f"Person {place}",
            question=f"Where was Person {place} born?",
            answer=f"Town{place}.",
            aliases=(f"Town{place}",),
            paraphrases=(f"Person {place} was born in which town?",) if place % 2 else (),
            relation="born",
        )
        for place in range(24)
    ),
    Fact(id="text", subject="A book", text="It was the best of times, it was the worst of times, the age of wisdom."),
]


def build(name: str) -> Probe[Parameters]:
    kind = next(point for point in entry_points(group=PROBES) if point.name == name).load()
    return kind(kind.Parameters(**PARAMETERS.get(name, {})))


@pytest.mark.parametrize("name", NAMES)
def test_a_probe_says_what_it_is(name):
    probe = build(name)
    assert probe.name == name
    assert probe.summary.endswith(".")
    assert isinstance(probe.access, Access)
    assert probe.paper == "" or probe.paper[:4].isdigit()
    assert inspect.getdoc(type(probe))
    assert probe.measures
    with pytest.raises(ValueError, match="extra"):
        probe.Parameters.model_validate({"no_such_key": 1})


@pytest.mark.parametrize("name", NAMES)
def test_every_fact_is_read_once_or_missing_with_a_reason(name, tokenizer):
    probe, engine = build(name), tiny_engine(tokenizer, template=SWITCHING)
    before = {key: value.clone() for key, value in engine.module.state_dict().items()}
    readings = list(probe.observe(engine, FACTS, FACTS))
    places = [(reading.fact_id, reading.measure, reading.variant) for reading in readings]
    assert len(set(places)) == len(places)
    measures = {measure.name for measure in probe.measures}
    assert {reading.measure for reading in readings} <= measures
    for fact in FACTS:
        assert {reading.measure for reading in readings if reading.fact_id == fact.id} == measures, fact.id
    for reading in readings:
        assert reading.score is None or 0 <= reading.score <= 1
        assert reading.twin_score is None or 0 <= reading.twin_score <= 1
        assert (reading.score is None) == bool(reading.missing)
    assert any(reading.score is not None for reading in readings)
    assert all(torch.equal(before[key], value) for key, value in engine.module.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_a_part_of_the_facts_gets_the_scores_of_the_whole(name, tokenizer):
    """An attack that trains has its eval split scored alone: the numbers may not depend on the company."""
    probe, engine = build(name), tiny_engine(tokenizer, template=SWITCHING)
    whole = {(r.fact_id, r.measure, r.variant): r.score for r in probe.observe(engine, FACTS, FACTS)}
    for reading in probe.observe(engine, FACTS[::-1][:11], FACTS):
        expected = whole[reading.fact_id, reading.measure, reading.variant]
        assert (reading.score is None) == (expected is None)
        if expected is not None:
            assert reading.score == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("verdict", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_probe_that_judges_outputs_leaves_that_to_the_judge_of_the_audit(name, verdict, tokenizer):
    """Whatever the judge says of all outputs is what the probe gives; the answer key alone is what `match` says."""
    probe, engine = build(name), tiny_engine(tokenizer, template=SWITCHING)
    outputs = probe.access in (Access.PROMPTS, Access.LOGITS)
    if not outputs or not any(measure.name in JUDGED for measure in probe.measures):
        pytest.skip("judges no outputs")
    seen = []

    def weigh(claims):
        seen.extend(claims)
        return [verdict for _ in claims]

    judged = probe.judged_by(Judge(kind=JudgeKind.LLM, weigh=weigh, twins=2))
    readings = [one for one in judged.observe(engine, FACTS[:4], FACTS) if one.measure in JUDGED]
    scores = {one.score for one in readings if one.score is not None}
    assert seen
    assert scores <= {0.0, float(verdict)}
    assert float(verdict) in scores
    assert all(one.matched is not None for one in readings if one.measure == "hit" and one.score is not None)
