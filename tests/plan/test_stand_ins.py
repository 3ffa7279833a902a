"""Placebo and sham facts: invented names are nobody's, twin answers are never true, and pairs keep their ids."""

from __future__ import annotations

import pytest

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.matching.words import words_of
from unlearn_audit.plan.stand_ins import PLACEBO, invented_names, placebo_facts, sham_facts

NAMES = ["Ada Mann", "Bo van Lind", "Cy Berg", "Di Falk", "Elke"]
TOWNS = ["Oslo", "Rome", "Oslo", "Bern", "Kyiv"]
FACTS = tuple(
    Fact(
        id=f"{place}",
        subject=name,
        question=f"Where was {name} born?",
        answer=f"{name} was born in {town}.",
        aliases=(town,),
        paraphrases=(f"What is {name}'s birthplace?", f"Which town do the people of {name.split()[0]} come from?"),
        wrong_answers=(f"{name} was born in Lima.",),
        relation="born_in",
    )
    for place, (name, town) in enumerate(zip(NAMES, TOWNS, strict=True))
)


def test_a_placebo_asks_the_same_of_somebody_who_does_not_exist():
    made = placebo_facts(FACTS, (), seed=0)
    assert set(made) == {fact.id for fact in FACTS}
    for fact in FACTS:
        placebo = made[fact.id]
        assert placebo.id == PLACEBO + fact.id
        assert placebo.subject not in NAMES
        assert placebo.question == f"Where was {placebo.subject} born?"
        assert placebo.answer == f"{placebo.subject} was born in {fact.aliases[0]}."
        assert placebo.aliases == fact.aliases
        assert placebo.relation == fact.relation
        assert placebo.wrong_answers == (f"{placebo.subject} was born in Lima.",)
        assert not set(words_of(fact.subject)) & set(words_of(placebo.subject))


def test_a_form_in_which_the_true_name_would_be_left_ends_the_placebo_s_forms():
    made = placebo_facts(FACTS, (), seed=0)
    # "Ada" has too few letters to tell whom it is about, and does not name the subject whole: nothing was retold.
    assert [len(made[fact.id].paraphrases) for fact in FACTS] == [1, 1, 1, 1, 2]
    assert made["0"].paraphrases == (f"What is {made['0'].subject}'s birthplace?",)


def test_a_fact_that_does_not_name_its_subject_has_no_placebo():
    nameless = Fact(id="x", subject="Ada Mann", question="Where was the author born?", answer="Oslo")
    passage = Fact(id="y", subject="Bo van Lind", text="Bo van Lind was born in Rome.")
    assert placebo_facts((nameless, passage, *FACTS), (), seed=0).keys() == {fact.id for fact in FACTS}


def test_names_are_put_together_from_others_and_given_once():
    names = invented_names(set(NAMES), {"Zoe Ahlers", "Udo Prinz", "Nia Obi", "Gus Wynn", "Pia Orth"}, seed=1)
    assert set(names) == set(NAMES)
    assert len(set(names.values())) == len(names)
    parts = {"Zoe", "Udo", "Nia", "Gus", "Pia", "Ahlers", "Prinz", "Obi", "Wynn", "Orth"}
    assert all(set(name.split()) <= parts for name in names.values())
    assert names == invented_names(set(NAMES), {"Zoe Ahlers", "Udo Prinz", "Nia Obi", "Gus Wynn", "Pia Orth"}, seed=1)


def test_where_no_new_name_can_be_put_together_there_is_none():
    assert invented_names({"Ada Mann"}, set(), seed=0) == {}


def test_no_half_of_a_one_word_name_is_left_in_its_placebo():
    titles = ["Middlemarch", "Frankenstein", "Persuasion", "Kidnapped", "Villette", "Ivanhoe", "Cranford"]
    names = invented_names(set(titles), set(), seed=0)
    assert set(names) == set(titles)
    for title, name in names.items():
        runs = {title.casefold()[place : place + 5] for place in range(len(title) - 4)}
        assert not any(run in name.casefold() for run in runs)


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("Where was Li Na born?", True),
        ("Where was Li Na born, before Na moved to Rome?", False),  # still asks after her
        ("What did Li Nash win?", False),  # somebody else
    ],
)
def test_short_names_are_retold_whole_or_not_at_all(question, told):
    fact = Fact(id="x", subject="Li Na", question=question, answer="Oslo")
    made = placebo_facts([fact, *FACTS], (), seed=0)
    assert ("x" in made) is told
    if told:
        assert made["x"].question == f"Where was {made['x'].subject} born?"


def test_an_article_is_no_part_of_a_name_that_tells():
    titles = {f"The {name} Affair" for name in ("Gray", "Mill", "Cone", "Dane")} | {"The Blue Fields", "The Red Moor"}
    names = invented_names(titles, set(), seed=0)
    assert "The Blue Fields" in names
    assert names["The Blue Fields"].startswith("The ")


def test_a_nameless_subject_has_no_placebo():
    assert placebo_facts([Fact(id="1", subject="", question="Who?", answer="Oslo"), *FACTS], (), seed=0).keys() == {
        fact.id for fact in FACTS
    }


def test_a_sham_has_another_subject_s_answer_told_of_its_own_subject():
    made = sham_facts(FACTS, seed=0)
    assert [fact.id for fact in made] == [fact.id for fact in FACTS]
    for fact, sham in zip(FACTS, made, strict=True):
        assert (sham.subject, sham.question, sham.paraphrases) == (fact.subject, fact.question, fact.paraphrases)
        assert sham.aliases != fact.aliases
        assert sham.answer == f"{fact.subject} was born in {sham.aliases[0]}."
        assert sham.wrong_answers == ()
    # Equal answers get equal shams: how often an answer comes up stays as it was.
    assert made[0].aliases == made[2].aliases


def test_what_is_true_of_a_subject_is_not_its_sham():
    also = Fact(
        id="z", subject="Ada Mann", question="Where, too?", answer="Rome", aliases=("Rome",), relation="born_in"
    )
    for seed in range(20):
        shams = {fact.id: fact.aliases for fact in sham_facts((*FACTS, also), seed=seed)}
        assert not {("Oslo",), ("Rome",)} & {shams["0"], shams["z"]}


def test_a_relation_with_one_answer_has_no_sham():
    alike = tuple(Fact(id=str(i), subject=f"s{i}", question="?", answer="Oslo", relation="r") for i in range(3))
    assert sham_facts(alike, seed=0) == ()
    assert sham_facts((Fact(id="t", subject="s", text="a passage"),), seed=0) == ()
