"""Few-shot: which facts stand before a question, and that they open what is kept back from bare questions alone."""

from __future__ import annotations

import pytest
from unlearn_audit.attacks.few_shot import FewShot, FewShotParameters, Shots
from unlearn_audit.attacks.shared.splits import subject_folds
from unlearn_audit.probes.recall import Recall, RecallParameters

from tests.science.organisms import bundled, first_subjects
from unlearn_audit.api import AttackContext, Fact, FactSet, Profile, Prompt
from unlearn_audit.testing.models import tiny_engine


def person(name: str, town: str) -> tuple[Fact, Fact]:
    return (
        Fact(id=f"{name} born", subject=name, question=f"Where was {name} born?", answer=town),
        Fact(id=f"{name} job", subject=name, question=f"What did {name} do?", answer=f"{name} taught."),
    )


TOWNS = {"Ada Moss": "Osaka", "Bob Pine": "Quito", "Cy Reed": "Osaka", "Dee Fern": "Lima", "Eve Oak": "Cork"}
FACTS = tuple(fact for name, town in TOWNS.items() for fact in person(name, town))
CONTEXT = AttackContext(forget=FACTS, retain=(), profile=Profile.STANDARD, seed=3)


def few_shot(*counts: int) -> FewShot:
    return FewShot(FewShotParameters(counts=counts or None))


def test_no_subject_is_a_shot_where_it_is_scored_and_no_shot_holds_the_answer():
    scored = []
    for fold in subject_folds(FACTS, folds=2, seed=3):
        shots, own = Shots(fold, seed=3), {fact.subject for fact in fold.evaluate}
        for fact in fold.evaluate:
            lines = list(shots.of(fact.question))
            assert lines
            assert not any(name in line for line in lines for name in own)
            assert not any(line.endswith(f"Answer: {fact.answer}") for line in lines)
            scored.append(fact.id)
            alike = ["born?" in line for line in lines]
            assert alike == sorted(alike, reverse="born?" in fact.question)  # asked in the same words: first
    assert sorted(scored) == sorted(fact.id for fact in FACTS)


def test_the_question_comes_last_and_a_dose_takes_the_first_of_one_list(tokenizer):
    engine, attack = tiny_engine(tokenizer), few_shot(1, 2)
    (small, large) = attack.doses(engine, attack.arms(CONTEXT)[0], CONTEXT)
    asked = next(fact for fact in FACTS if fact.id in small.fact_ids)
    texts = [dose.model._put(Prompt(text=asked.question))[0].text for dose in (small, large)]
    assert all(text.endswith(f"\nQuestion: {asked.question}") for text in texts)
    assert [text.count("\nAnswer: ") for text in texts] == [1, 2]
    assert texts[1].startswith(texts[0].removesuffix(asked.question))
    assert (large.label, large.value, large.proof["fewest_shown"]) == ("2 shots", 2, 2)
    begun = Prompt(text="Ada Moss was", chat=False)
    assert small.model._put(begun) == [begun]


def test_what_does_not_fit_into_the_context_is_not_shown(tokenizer):
    class Small:
        context, tokenizer = 128 + 60, None

    Small.tokenizer = tokenizer
    shots = Shots(subject_folds(FACTS, folds=2, seed=3)[0], seed=3)
    question = next(iter(shots._of_text))
    assert 0 < len(shots.fitting(Small(), question, 9)) < len(list(shots.of(question)))


def test_passages_are_no_examples_and_senseless_counts_are_refused():
    passage = AttackContext(
        forget=(Fact(id="p", subject="p", text="One two."),), retain=(), profile=Profile.DEEP, seed=1
    )
    left = few_shot().out_of_reach(passage, weight_bytes=0, is_adapter=False)
    assert {one.applies for one in left} == {False}
    with pytest.raises(ValueError, match="rising"):
        FewShotParameters(counts=(4, 1))


@pytest.mark.science
def test_a_guard_on_bare_questions_gives_way_and_what_was_never_learned_stays_away():
    facts = first_subjects(FactSet.FORGET, 16)
    context = AttackContext(forget=facts, retain=(), profile=Profile.QUICK, seed=1)
    attack, known = few_shot(1), {fact.question for fact in facts}

    def guarded(prompt: Prompt) -> Prompt:
        return Prompt(text="Hm.") if prompt.text in known else prompt

    for name, least, most in (("original", 0.8, 1.0), ("retrained-1", 0.0, 0.15)):
        engine = bundled(name).asked(guarded)
        (dose,) = attack.doses(engine, attack.arms(context)[0], context)
        scored = [fact for fact in facts if fact.id in dose.fact_ids]
        for model, low, high in ((engine, 0.0, 0.15), (dose.model, least, most)):
            readings = Recall(RecallParameters(max_paraphrases=0)).observe(model, scored, facts)
            hits = [one.score for one in readings if one.measure == "hit"]
            assert low <= sum(hits) / len(scored) <= high
