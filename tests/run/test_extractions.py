"""Comparisons in a run: what is taken, kept, taken up again, and what one that fails leaves behind."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.run.test_runner import Nothing, laid_out, planned, ran
from unlearn_audit.api import Access, FactSet, Role
from unlearn_audit.api.comparison import Comparison, GroupReading


class Marks(Comparison[Nothing]):
    """Takes a weight of each model."""

    name, summary, paper, access, Parameters = "marks", "Marks.", "", Access.WEIGHTS, Nothing
    taken: list[str] = []  # noqa: RUF012 - counted over instances

    def extract(self, model, context):
        type(self).taken.append("own")
        return {"mark": next(model.module.parameters()).flatten()[:3].float().numpy()}

    def compare(self, models, context):
        for one in models:
            yield GroupReading(
                measure="mark", variant="", between=(one.name,), estimate=float(one.features["mark"][0]), size=1
            )


class Crosses(Marks):
    """Looks at each model a second time, with the others' marks at hand."""

    name, crosses = "crosses", True

    def cross(self, model, own, others, context):
        type(self).taken.append("crossed")
        assert list(own) == ["mark"]
        return {f"beside {name}": features["mark"] for name, features in others.items()}

    def compare(self, models, context):
        for one in models:
            yield GroupReading(measure=str(sorted(one.features)), variant="", between=(one.name,), estimate=0.0)


class Hands(Crosses):
    """Shows each model's words to the others, and to nobody else."""

    name, hands_on = "hands", frozenset({"words"})

    def extract(self, model, context):
        return {**super().extract(model, context), "words": np.frombuffer(b"Zanzibar", dtype=np.uint8)}

    def cross(self, model, own, others, context):
        type(self).taken.append(b"".join(bytes(features["words"]) for features in others.values()).decode())
        return {"seen": np.ones(1)}


class Wrong(Marks):
    """Fails in a way of its own."""

    name, how = "wrong", ""

    def extract(self, model, context):
        if self.how == "raises":
            raise ValueError("nothing here")
        if self.how == "keeps text":
            return {"answer": np.array(["London"])}
        with torch.no_grad():
            next(model.module.parameters()).add_(1.0)
        return {"mark": np.zeros(1)}


from tests.run.test_runner import spec as spec  # noqa: E402 - the fixture


def with_comparison(spec, comparison):
    return laid_out(replace(planned(spec), comparisons={comparison.name: comparison}))


def test_each_model_gives_its_features_once(tmp_path, spec):
    Marks.taken = []
    plan = with_comparison(spec, Marks(Nothing()))
    assert [one.model.role for one in plan.plan.extractions] == [Role.ORIGINAL, Role.UNLEARNED]
    first, _ = ran(plan, tmp_path / "run")
    (record,) = first.comparisons
    assert record.error is None
    assert [reading.between for reading in record.readings] == [("original",), ("unlearned",)]
    assert len(set(record.features.values())) == 2
    again, _ = ran(plan, tmp_path / "run")
    assert Marks.taken == ["own", "own"]
    assert again.comparisons[0].readings == record.readings


def test_a_comparison_may_look_again_with_the_others_at_hand(tmp_path, spec):
    Crosses.taken = []
    gathered, _ = ran(with_comparison(spec, Crosses(Nothing())), tmp_path / "run")
    assert Crosses.taken == ["own", "own", "crossed", "crossed"]
    assert [reading.measure for reading in gathered.comparisons[0].readings] == [
        "['beside unlearned', 'mark']",
        "['beside original', 'mark']",
    ]


def test_what_is_handed_on_is_seen_by_the_other_models_and_kept_nowhere(tmp_path, spec):
    Hands.taken = []
    plan = with_comparison(spec, Hands(Nothing()))
    gathered, store = ran(plan, tmp_path / "run")
    assert Hands.taken == ["own", "own", "Zanzibar", "Zanzibar"]
    assert [reading.measure for reading in gathered.comparisons[0].readings] == ["['mark', 'seen']"] * 2
    assert not any(b"Zanzibar" in path.read_bytes() or "handed-on" in str(path) for path in files(tmp_path))
    assert all("words" not in store.arrays(one.key) for one in plan.plan.extractions)


def test_what_is_gone_before_all_have_seen_it_is_taken_again(tmp_path, spec):
    Hands.taken = []
    plan = with_comparison(spec, Hands(Nothing()))
    ran(plan, tmp_path / "run")
    ran(plan, tmp_path / "run")
    assert Hands.taken == ["own", "own", "Zanzibar", "Zanzibar"]
    shutil.rmtree(tmp_path / "run" / "jobs" / f"{plan.plan.extractions[1].key}-crossed")
    again, _ = ran(plan, tmp_path / "run")
    assert Hands.taken[4:] == ["own", "own", "Zanzibar"]
    assert again.comparisons[0].error is None


def files(directory):
    return [path for path in directory.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("how", "message"),
    [("raises", "nothing here"), ("keeps text", "expected numbers"), ("spoils", "changed the model and did not undo")],
)
def test_one_that_fails_says_so_and_nothing_of_it_is_kept(tmp_path, spec, how, message):
    wrong = Wrong(Nothing())
    wrong.how = how
    plan = with_comparison(spec, wrong)
    gathered, store = ran(plan, tmp_path / "run")
    assert message in (gathered.comparisons[0].error or "")
    assert gathered.comparisons[0].readings == ()
    assert not any(store.has(one.key) for one in plan.plan.extractions)
    assert gathered.faults == []


def test_one_without_what_it_needs_is_left_out_and_said_to_be(spec):
    class Needs(Marks):
        reads = (FactSet.FORGET, FactSet.HOLDOUT)
        roles = (Role.UNLEARNED, Role.RETRAINED)

    plan = with_comparison(spec, Needs(Nothing()))
    assert plan.plan.extractions == ()
    (left,) = [item for item in plan.case.left_out if item.what == "marks"]
    assert "holdout facts, retrained model" in left.why
