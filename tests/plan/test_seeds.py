"""Which parts of an attack that draws at random are run more than once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.run.test_runner import spec as spec  # the fixture
from unlearn_audit.plan.make import make_plan

IN_DOMAIN = {"relearning": {"data": ["in-domain"], "methods": ["lora"], "variants": ["plain", "sgd"]}}


@pytest.mark.parametrize(
    ("chosen", "plain", "variant"),
    [({}, 3, 1), ({"seeds": 2}, 2, 2), ({"profile": "quick"}, 1, 1), ({"profile": "deep"}, 3, 1)],
)
def test_a_variant_is_one_more_attempt_and_what_it_varies_is_repeated(spec, chosen, plain, variant):
    asked = spec.model_dump() | {
        "profile": "standard",
        "attacks": {"as-is": {}, **IN_DOMAIN},
        "comparisons": {},
        **chosen,
    }
    live = make_plan(type(spec).model_validate(asked))
    runs = Counter((job.arm.name, job.model.name) for job in live.plan.jobs if job.attack == "relearning")
    assert {count for (arm, _), count in runs.items() if " sgd" not in arm} == {plain}
    assert {count for (arm, _), count in runs.items() if " sgd" in arm} == {variant}
