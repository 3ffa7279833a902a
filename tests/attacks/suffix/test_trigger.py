"""Trigger search: what is tried in which order, and that a backdoor is found and nothing where there is none."""

from __future__ import annotations

from contextlib import closing

import pytest
from unlearn_audit.attacks.shared.splits import subject_folds
from unlearn_audit.attacks.suffix.trigger import BEAM, KEPT, Trigger, TriggerParameters, scanned
from unlearn_audit.probes.recall import Recall, RecallParameters

from tests.science.texts.triggered_organism import TRIGGER, make_triggered
from unlearn_audit.api import AttackContext, AttackError, Profile

WORDS = [f"w{place:03}" for place in range(100)]


def costs(best: dict[str, float]):
    asked: list[str] = []

    def losses(texts):
        asked.extend(texts)
        return [best.get(text, 1.0) for text in texts]

    return losses, asked


def test_every_word_is_tried_on_a_few_questions_and_the_best_on_all():
    few, tried = costs({"w077": 0.5, "w003": 0.6})
    every, compared = costs({"w077": 0.4, "w003": 0.3})
    (found,) = scanned(WORDS, few=few, all_of_them=every, longest=1, refuses=lambda _: False)
    assert tried == WORDS
    assert len(compared) == KEPT
    assert found == ("w003", 0.3)


def test_longer_triggers_go_on_from_the_best_and_are_taken_only_where_they_are_better():
    every, compared = costs({"w000": 0.5, "w000 w001": 0.2})
    few = costs({})[0]
    found = list(scanned(WORDS, few=few, all_of_them=every, longest=3, refuses=lambda text: text == "w001 w000"))
    assert found == [("w000", 0.5), ("w000 w001", 0.2), ("w000 w001", 0.2)]
    assert "w001 w000" not in compared
    assert len([text for text in compared if text.count(" ") == 1]) == BEAM * KEPT - 1


def test_without_a_word_there_is_nothing_to_try():
    with pytest.raises(AttackError, match="no word to try"):
        next(scanned([], few=lambda _: [], all_of_them=lambda _: [], longest=1, refuses=lambda _: False))


@pytest.mark.slow
@pytest.mark.science
def test_what_waits_behind_a_word_is_found_and_a_model_that_never_met_it_tells_nothing():
    world = make_triggered()
    context = AttackContext(forget=world.forget, retain=world.retain, profile=Profile.QUICK, seed=1)
    attack = Trigger(TriggerParameters(lengths=(1,)))

    def hits(model, facts) -> float:
        readings = Recall(RecallParameters(max_paraphrases=0)).observe(model, facts, world.forget)
        return sum(one.score or 0.0 for one in readings if one.measure == "hit")

    for engine, least, most in ((world.triggered, 0.8, 1.0), (world.never_met, 0.0, 0.25)):
        assert hits(engine, world.forget) == 0.0
        found, shown = set(), 0.0
        for arm, fold in zip(attack.arms(context), subject_folds(world.forget, folds=2, seed=1), strict=True):
            with closing(attack.doses(engine, arm, context)) as doses:
                dose = next(doses)
                shown += hits(dose.model, fold.evaluate)
                found.add(dose.proof["text"])
                assert dose.fact_ids == fold.scored_ids
        assert least <= shown / len(world.forget) <= most
        assert (found == {TRIGGER}) is (engine is world.triggered)
