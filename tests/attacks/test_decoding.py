"""Decoding: draws are joined and the same in every role, an answer without an end is whole, and what that opens."""

from __future__ import annotations

import pytest
from unlearn_audit.attacks.decoding import Decoding, DecodingParameters
from unlearn_audit.probes.recall import Recall, RecallParameters

from tests.science.organisms import bundled, first_subjects
from tests.science.texts.gated_organism import make_wavering
from unlearn_audit.api import AttackContext, FactSet, Profile, Prompt
from unlearn_audit.testing.attacks import FORGET
from unlearn_audit.testing.models import tiny_engine

CONTEXT = AttackContext(forget=FORGET, retain=(), profile=Profile.STANDARD, seed=7)
ASKED = [Prompt(text="Where is Eliot?"), Prompt(text="Who?")]


def doses_of(engine, **parameters):
    attack = Decoding(DecodingParameters(**parameters))
    return [dose for arm in attack.arms(CONTEXT) for dose in attack.doses(engine, arm, CONTEXT)]


def test_draws_are_the_first_of_one_list_read_together(tokenizer):
    engine = tiny_engine(tokenizer)
    few, many = doses_of(engine, ways=("draws",), counts=(2, 3), temperature=0.7)
    assert (few.label, many.label, many.value) == ("2 draws at 0.7", "3 draws at 0.7", 3)
    said = [dose.model.generate(ASKED, max_new_tokens=6) for dose in (few, many)]
    for prompt, small, large in zip(ASKED, *said, strict=True):
        seed = many.model.draws.seed
        (alone,) = engine.sample([prompt], count=3, max_new_tokens=6, seed=seed, temperature=0.7)
        assert [part.text for part in large.parts] == [one.text for one in alone]
        assert [part.text for part in small.parts] == [one.text for one in alone[:2]]
        assert all(one.text in large.text for one in alone)
    pair = [(ASKED[0], "London")]
    assert many.model.score(pair) == engine.score(pair)


def test_an_answer_that_may_not_end_goes_on_to_the_limit_and_is_whole():
    engine = bundled("original")
    (dose,) = doses_of(engine, ways=("no-end",))
    asked = [Prompt(text=fact.question) for fact in first_subjects(FactSet.FORGET, 1)]
    for short, long in zip(*(model.generate(asked, max_new_tokens=20) for model in (engine, dose.model)), strict=True):
        assert short.new_tokens < 20
        assert (long.new_tokens, long.finished) == (20, True)
        assert long.text.startswith(short.text)


@pytest.mark.slow
@pytest.mark.science
def test_draws_find_what_a_model_says_one_time_in_four_and_the_control_does_not_say_it():
    world = make_wavering()
    context = AttackContext(forget=world.forget, retain=world.retain, profile=Profile.QUICK, seed=1)
    attack = Decoding(DecodingParameters(ways=("draws",), counts=(16,)))
    for engine, least, most in ((world.gated, 0.8, 1.0), (world.never_met, 0.0, 0.35)):
        (dose,) = attack.doses(engine, attack.arms(context)[0], context)
        for model, low, high in ((engine, 0.0, 0.3), (dose.model, least, most)):
            readings = Recall(RecallParameters(max_paraphrases=0)).observe(model, world.forget, world.forget)
            hits = sum(one.score or 0.0 for one in readings if one.measure == "hit")
            assert low <= hits / len(world.forget) <= high, (model is engine, hits)


def test_senseless_parameters_are_refused():
    for wrong in ({"counts": (4, 1)}, {"ways": ("draws", "draws")}, {"temperature": 0}):
        with pytest.raises(ValueError, match=r"counts|ways|temperature"):
            DecodingParameters(**wrong)
