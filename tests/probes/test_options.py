"""What the options of a choice say: never of another subject, always of the true answer's form."""

from __future__ import annotations

import itertools

import pytest
from unlearn_audit.probes.forced_choice import ForcedChoice, ForcedChoiceParameters
from unlearn_audit.probes.shared.naming import Subjects, filled, fold, masked, name_words
from unlearn_audit.probes.shared.question_types import QuestionTypes, question_type

from unlearn_audit.api import Fact

GAP = "\ue100"
FIRST, LAST = "\ue101", "\ue102"


@pytest.mark.parametrize(
    ("text", "subject", "expected"),
    [
        ("Arno Vestra keeps a heron.", "Arno Vestra", f"{GAP} keeps a heron."),
        ("ARNO VESTRA's heron", "Arno Vestra", f"{GAP}'s heron"),
        ("Vestra was born where Arno's mother was.", "Arno Vestra", f"{LAST} was born where {FIRST}'s mother was."),
        ("Hsiao Yun Hwa, that is Yun-Hwa", "Hsiao Yun-Hwa", f"{GAP}, that is \ue102-\ue103"),
        ("Jurgen Muller, i.e. Mueller", "Jürgen Müller", f"{GAP}, i.e. {LAST}"),
        ("王小明养了一只猫。", "王小明", f"{GAP}养了一只猫。"),
        ("The heron of the lake", "Ann of the Lake", f"The heron of the {LAST}"),
        ("Person 7 was 7.", "Person 7", f"{GAP} was 7."),
        ("nobody", "Arno Vestra", "nobody"),
    ],
)
def test_mentions_become_gaps(text: str, subject: str, expected: str) -> None:
    assert masked(text, subject) == expected


def test_a_gap_takes_the_same_part_of_another_name() -> None:
    text = masked("Arno Vestra, or Arno, or Vestra", "Arno Vestra")
    words = len(name_words("Arno Vestra"))
    assert filled(text, "Lena Tolvin", words) == "Lena Tolvin, or Lena, or Tolvin"
    assert filled(text, "Lena Maria Tolvin", words) == "Lena Maria Tolvin, or Lena, or Tolvin"
    assert filled(text, "Zeno", words) == "Zeno, or Zeno, or Zeno"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Lena Tolvin keeps a hen.", True),
        ("LENA keeps a hen.", True),
        ("It is Tolvin's.", True),
        ("Tolvins Huhn", True),
        ("Tölvin", True),
        ("Lena-Tolvin", True),
        ("LenaTolvin", True),
        ("Bergstroem", True),
        ("Bergstrøm", True),
        ("Bergstrom", True),
        ("Bergstrim", True),  # misspelled
        ("小明的猫", True),
        ("김민수는 고양이를 키운다", True),
        ("Arno Vestra keeps a hen.", False),
        ("a hen", False),
        ("7 hens", False),
        ("L. keeps hens", False),
    ],
)
def test_another_subject_is_seen_in_any_spelling(text: str, names: bool) -> None:
    subjects = Subjects(["Arno Vestra", "Lena Tolvin", "Ola Bergström", "王小明", "김민수"])
    assert subjects.names_another(text, "Arno Vestra") is names


def test_a_shared_word_is_not_the_whole_name() -> None:
    subjects = Subjects(["Arno Vestra", "Bela Vestra"])
    assert subjects.names_whole("Bela  VESTRA", "Arno Vestra")
    assert not subjects.names_whole("Vestra", "Arno Vestra")


def test_folding_keeps_what_is_no_mark() -> None:
    assert [fold(one) for one in ("MÜLLER", "Mueller", "Straße", "Łódź")] == ["muller", "muller", "strasse", "lodz"]


# --- facts as people give them ---

NAMES = [f"{first} {last}" for first, last in itertools.product(["Arno", "Bela", "Cleo", "Dora"], ["Vestra", "Noldur"])]
PETS = ["heron", "otter", "badger", "dormouse", "marten", "lynx", "adder", "ermine"]
FORMS = {
    "whole": "{name} keeps a {pet}.",
    "last name": "{last} keeps a {pet}.",
    "first name, possessive": "{first}'s pet is a {pet}.",
    "twice": "{name} has long kept a {pet}, and {first} loves it.",
    "capitals": "{NAME} KEEPS A {pet}.",
    "nobody": "It is a {pet}.",
    "mixed": ("{name} keeps a {pet}.", "A {pet} is what {last} keeps.", "As a pet {first} has a {pet}."),
}


def told(form: str, *, aliases: bool, relation: str | None) -> list[Fact]:
    facts = []
    for number, (name, pet) in enumerate(zip(NAMES, PETS, strict=True)):
        first, last = name.split()
        text = FORMS[form] if isinstance(FORMS[form], str) else FORMS[form][number % 3]
        facts.append(
            Fact(
                id=str(number),
                subject=name,
                question=f"Which animal does {name} keep?",
                answer=text.format(name=name, NAME=name.upper(), first=first, last=last, pet=pet),
                aliases=(pet,) if aliases else (),
                relation=relation,
            )
        )
    return facts


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("aliases", [True, False])
@pytest.mark.parametrize("relation", ["pet", None])
def test_every_option_is_of_the_subject_that_is_asked_after(form: str, aliases: bool, relation: str | None) -> None:
    facts = told(form, aliases=aliases, relation=relation)
    chooser = ForcedChoice(ForcedChoiceParameters()).chooser(facts)
    for fact in facts:
        options = chooser.choice(fact).options
        assert len(options) == len(facts), form
        assert options[0] == fact.answer
        for option in options:
            assert not {word.casefold() for name in NAMES for word in name.split()} & (
                {word.strip("',.s").casefold() for word in option.replace("'s", "").split()}
                - {word.casefold() for word in fact.subject.split()}
            )
            assert option.endswith(".")
            assert (GAP in masked(option, fact.subject) or FIRST in masked(option, fact.subject)) == (
                GAP in masked(fact.answer or "", fact.subject) or FIRST in masked(fact.answer or "", fact.subject)
            ) or form in ("last name", "mixed")


def test_the_same_question_is_one_relation_and_joins_one_that_has_a_name() -> None:
    facts = told("whole", aliases=False, relation=None)
    assert len({question_type(fact) for fact in facts}) == 1
    assert len({QuestionTypes(facts).typed(fact).relation for fact in facts}) == 1
    named = [*facts[:4], *told("whole", aliases=False, relation="pet")[4:]]
    assert {QuestionTypes(named).typed(fact).relation for fact in named} == {"pet"}
    alone = Fact(id="a", subject="Ann", question="What did Ann sell?", answer="Hats.")
    assert QuestionTypes([*facts, alone]).typed(alone).relation is None
    placebo = Fact(id="p", subject="Zeno Zuk", question="Which animal does Zeno Zuk keep?", answer="A yak.")
    assert QuestionTypes(facts).typed(placebo).relation == QuestionTypes(facts).typed(facts[0]).relation


def test_the_keys_of_others_go_into_the_true_sentence_with_the_right_article() -> None:
    def fact(number: int, answer: str, pet: str) -> Fact:
        question = f"Which animal does Subject{number} keep?"
        return Fact(
            id=str(number), subject=f"Subject{number}", question=question, answer=answer, aliases=(pet,), relation="pet"
        )

    pool = [
        fact(0, "In her house there is a heron, they say.", "heron"),
        fact(1, "Otter", "otter"),
        fact(2, "Lynx", "lynx"),
    ]
    options = ForcedChoice(ForcedChoiceParameters()).chooser(pool).choice(pool[0]).options
    assert sorted(options[1:]) == [
        "In her house there is a Lynx, they say.",
        "In her house there is an Otter, they say.",
    ]
