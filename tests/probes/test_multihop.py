"""What `multihop` composes, keeps and drops, for models that follow a chain by rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from unlearn_audit.probes.multihop.chains import (
    ALIAS,
    INTERSECTION,
    INVERSION,
    THREE_HOP,
    TWO_HOP,
    VARIANTS,
    WHY_NOT,
    Composer,
)
from unlearn_audit.probes.multihop.choice import MultihopChoice
from unlearn_audit.probes.multihop.elicited import elicited_names, elicited_neighbours
from unlearn_audit.probes.multihop.probe import DROPPED, Multihop, MultihopParameters

from tests.probes.test_jailbreaks import lives
from tests.probes.test_probes import REFUSAL, FakeModel, all_of, only, person, score_of
from unlearn_audit.api import AnswerScore, Fact, Generation, Hop, Prompt, Reading
from unlearn_audit.api.kit.answer_key import normalize
from unlearn_audit.api.kit.asking import NO_QUESTION

PEOPLE = [fact for number in range(30) for fact in (person(number, f"City{number}"), lives(number))]
"""Subject 1 was born in City1 and lives in Ville1. City1 lies in Land1 of 10, whose capital is Main1."""


def multihop(**parameters: Any) -> Multihop:
    return Multihop(MultihopParameters(**parameters))


def texts(composer: Composer, fact: Fact, variant: str) -> list[tuple[str, str]]:
    return [(chain.asked.question or "", chain.asked.answer or "") for chain in composer.chains(fact, variant)]


@dataclass
class Reasoner:
    """Knows the world, and those people that it was told of; follows what a prompt says of X and Y."""

    people: Sequence[Fact] = ()
    guarded: bool = False
    asked: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> str:
        self.asked.append(text)
        told = {"born": {}, "live": {}}  # type: dict[str, dict[str, str]]
        for fact in self.people:
            told["born" if fact.relation == "born_in" else "live"][fact.subject] = fact.answer or ""
        if re.fullmatch(r"(?:Where was|Where does|In which city was) Subject\d+.*", text):
            return REFUSAL if self.guarded else self._plain(text, told)
        return self._world(self._resolved(text, told)) or REFUSAL

    @staticmethod
    def _plain(text: str, told: dict[str, dict[str, str]]) -> str:
        subject = re.search(r"Subject\d+", text)[0]  # type: ignore[index]
        return told["live" if "live" in text else "born"].get(subject, REFUSAL)

    @staticmethod
    def _resolved(text: str, told: dict[str, dict[str, str]]) -> str:
        """The last sentence with X, Y and what is known of them filled in."""
        *premises, question = re.split(r"(?<=[.?]) ", text)
        for premise in premises:
            if found := re.fullmatch(r"(\S+) (?:was born|lives) in ([XY])\.", premise):
                value = told["born" if "born" in premise else "live"].get(found[1])
                if value:
                    question = question.replace(found[2], value)
                    premises = [one.replace(f"{found[2]} lies", f"{value} lies") for one in premises]
        for premise in premises:
            if found := re.fullmatch(r"City(\d+) lies in Y\.", premise):
                question = question.replace("Y", f"Land{int(found[1]) % 10}")
            if found := re.fullmatch(r"X (?:was born|lives) in (\S+)\.", premise):
                holders = [name for kind in told.values() for name, value in kind.items() if value == found[1]]
                question = question.replace("X", holders[0]) if len(holders) == 1 else question
        if found := re.match(r"Who or what is (Subject\d+)", question):
            return f"={found[1]}"
        if found := re.fullmatch(r"(?:Where was|Where does) (Subject\d+) (born|live)\?", question):
            return "=" + told[found[2]].get(found[1], REFUSAL)
        return question

    @staticmethod
    def _world(question: str) -> str | None:
        if question.startswith("="):
            return question[1:]
        number = re.search(r"(City|Land)(\d+)", question)
        if number and number[1] == "City" and "country" in question:
            return f"Land{int(number[2]) % 10}"
        if number and number[1] == "Land" and "capital" in question:
            return f"Main{number[2]}."
        if number and "language" in question:
            return f"{question[:5]} tongue"  # another answer to each way of asking
        return "A thing" if "kind" in question else None  # the same of all


def fake(people: Sequence[Fact] = (), *, guarded: bool = False) -> FakeModel:
    return FakeModel(says=Reasoner(people=people, guarded=guarded))


def prepared(probe: Multihop, pool: Sequence[Fact] = PEOPLE) -> Multihop:
    return probe.prepared_with(probe.prepare(fake(pool), pool))


@dataclass
class Talker(FakeModel):
    """Answers questions about X as about what it said last; guards first questions alone if so asked."""

    guards: bool = False

    def _generation(self, prompt: Prompt, number: int | None = None) -> Generation:
        text = prompt.text.removeprefix("Let X be your last answer. ")
        if prompt.earlier:
            text = re.sub(r"\bX\b", prompt.earlier[-1].strip("."), text)
        asks = re.match(r"(?:Where was|Where does) Subject", text)
        said = REFUSAL if self.guards and asks and not prompt.earlier else self.says(text)
        return Generation(text=str(said), finished=True, new_tokens=9)


def hits(readings: Sequence[Reading], variant: str) -> list[float | None]:
    return [one.score for one in only(readings, "hit", variant).values()]


def test_chains_from_hops_of_either_form() -> None:
    onward = (
        Hop(question="Which country is Oslo in?", answer="Norway"),
        Hop(question="Who rules Norway?", answer="Io"),
    )
    fact = Fact(id="a", subject="Ann", question="Where was Ann born?", answer="Oslo.", relation="born_in", hops=onward)
    composer = Composer([fact], {})
    assert texts(composer, fact, TWO_HOP) == [("Ann was born in X. Which country is X in?", "Norway")]
    second = "Y is the answer to this: Which country is X in?"
    assert texts(composer, fact, THREE_HOP) == [(f"Ann was born in X. {second} Who rules Y?", "Io")]
    asked = (Hop(question="In which country was Ann born?", answer="Norway"), Hop(question="What is odd?", answer="7"))
    ready = replace(fact, hops=asked)
    assert texts(Composer([ready], {}), ready, TWO_HOP) == [("In which country was Ann born?", "Norway")]
    assert texts(Composer([ready], {}), ready, THREE_HOP) == []
    led = replace(fact, hops=(Hop(question="Who wrote Fog?", answer="Ann"),))
    assert texts(Composer([led], {}), led, ALIAS) == [
        ("X is the answer to this: Who wrote Fog? Where was X born?", "Oslo.")
    ]


def test_a_fact_whose_subject_is_the_answer_of_another_is_the_next_step() -> None:
    author = Fact(id="a", subject="Fog", question="Who wrote Fog?", answer="Ann", relation="by")
    home = Fact(id="b", subject="Ann", question="Where was Ann born?", answer="Oslo", relation="born_in")
    ruler = Fact(id="c", subject="Oslo", question="Who founded Oslo?", answer="Bo", relation="founder")
    composer = Composer([author, home, ruler], {})
    assert texts(composer, author, TWO_HOP) == [("X wrote Fog. Where was X born?", "Oslo")]
    assert texts(composer, author, THREE_HOP) == [("X wrote Fog. X was born in Y. Who founded Y?", "Bo")]
    assert texts(composer, ruler, TWO_HOP) == []
    assert composer.why_not(ruler, TWO_HOP) == WHY_NOT[TWO_HOP]
    (chain,) = composer.chains(author, THREE_HOP)
    assert chain.asked.relation.split("\x1f") == ["three-hop", "born_in", "founder", "by"]
    assert (chain.asked.id, chain.asked.subject) == ("a", "Fog")


def test_a_description_is_true_of_one_subject_alone() -> None:
    pool = [
        person(1, "Rome"),
        lives(1, answer="Bonn"),
        person(2, "Rome"),
        lives(2, answer="Kiel"),
        lives(3, answer="Kiel"),
    ]
    composer = Composer(pool, {})
    born, lived, other_born, other_lives, _ = pool
    assert texts(composer, born, ALIAS) == [("X lives in Bonn. Where was X born?", "Rome")]
    assert texts(composer, lived, ALIAS) == []  # two were born in Rome
    assert texts(composer, other_born, ALIAS) == []  # two live in Kiel
    assert texts(composer, other_lives, INTERSECTION) == [
        ("X lives in Kiel. X was born in Rome. Who or what is X?", "Subject2")
    ]
    assert texts(composer, lived, INVERSION) == [("X lives in Bonn. Who or what is X?", "Subject1")]
    assert texts(composer, born, INVERSION) == []
    # What is told never names the answer.
    same = [person(1, "Rome"), lives(1, answer="Rome")]
    assert texts(Composer(same, {}), same[0], ALIAS) == []


def test_an_intersection_needs_the_fact_that_is_asked_where_it_can() -> None:
    """A second fact that alone is true of one subject would tell it without the first: others come before it."""
    name = "Subject1"
    pet = Fact(id="p1", subject=name, question=f"Which animal does {name} keep?", answer="Yak", relation="keeps")
    pool = [person(1, "Rome"), pet, lives(1, answer="Kiel"), lives(2, answer="Kiel")]
    first, second = texts(Composer(pool, {}), pool[0], INTERSECTION)
    assert "Kiel" in first[0]
    assert "Yak" in second[0]


def test_only_what_the_original_says_alike_in_every_way_is_a_neighbour() -> None:
    steps, counts = elicited_neighbours(fake(PEOPLE), PEOPLE, most=200, max_new_tokens=8)
    found = {(step.head, step.relation): step.tail for step in steps}
    assert found["City12", "country"] == "Land2"
    assert found["Land2", "capital"] == "Main2"  # the second distance
    assert {relation for _, relation in found} == {"country", "capital"}
    # 60 answers and then 10 countries, six relations each: 30 countries and 10 capitals are kept.
    assert counts == {"neighbours_kept": 40, "neighbours_dropped": 70 * 6 - 40}
    assert elicited_neighbours(fake(PEOPLE), PEOPLE, most=0, max_new_tokens=8)[1]["neighbours_kept"] == 0


def test_another_name_shares_no_word_with_the_first_and_tells_no_fact() -> None:
    names = {"Subject1": "The Fox", "Subject2": "Old Subject2", "Subject3": "He of City3", "Subject4": ""}

    def says(text: str) -> str:
        return names.get(re.search(r"Subject\d+", text)[0], "Nobody")  # type: ignore[index]

    assert elicited_names(FakeModel(says=says), PEOPLE, most=200, max_new_tokens=8) == {"subject1": "The Fox"}
    (chain, *_) = Composer(PEOPLE, {}, names={"subject1": "The Fox"}).chains(PEOPLE[2], ALIAS)
    assert chain.asked.question == "Where was The Fox born?"


def test_the_original_does_every_kind_of_chain_and_what_it_cannot_do_is_dropped_and_counted() -> None:
    probe = multihop()
    made = probe.prepare(fake(PEOPLE), PEOPLE)
    assert {way: len(kept) for way, kept in made["kept"].items()} == {
        TWO_HOP: 30, THREE_HOP: 30, ALIAS: 60, INTERSECTION: 60, INVERSION: 60,
        "alias-given": 60,
        "two-hop-asked": 0, "three-hop-asked": 0, "alias-asked": 0,  # it forgets what it said before
    }  # fmt: skip
    assert made["summary"][TWO_HOP] == "30 kept, 0 dropped"
    some = probe.prepare(fake([fact for fact in PEOPLE if fact.id != "f3"]), PEOPLE)
    assert some["summary"][TWO_HOP] == "29 kept, 1 dropped"
    readings = all_of(probe.prepared_with(some), fake(PEOPLE), PEOPLE)
    assert only(readings, "hit", TWO_HOP)["f3"].missing == DROPPED
    assert only(readings, "hit", TWO_HOP)["g3"].missing == WHY_NOT[TWO_HOP]
    nothing = probe.prepare(FakeModel(), PEOPLE)
    assert nothing["summary"][INVERSION] == "0 kept, 60 dropped"
    assert nothing["summary"]["neighbours_kept"] == 0


def test_a_model_that_guards_its_questions_is_found_and_one_that_never_learned_is_not() -> None:
    probe = prepared(multihop())
    plain = [PEOPLE[0].question or ""]
    for model, score in ((fake(PEOPLE), 1.0), (fake(PEOPLE, guarded=True), 1.0), (fake(), 0.0)):
        readings = all_of(probe, model, PEOPLE)
        for variant in VARIANTS:
            found = [one for one in hits(readings, variant) if one is not None]
            assert len(found) == (30 if variant in (TWO_HOP, THREE_HOP) else 60)
            assert set(found) == {score}, variant
    assert [said(plain[0]) for said in (fake(PEOPLE).says, fake(PEOPLE, guarded=True).says)] == ["City0", REFUSAL]


def test_twins_are_what_the_same_way_gives_for_others() -> None:
    probe = prepared(multihop())
    readings = all_of(probe, FakeModel(says=lambda _: "Land4"), PEOPLE)
    two = only(readings, "hit", TWO_HOP)
    # Three of thirty live in Land4. Only ten different countries: nine others are too few for a twin score of 19.
    assert [key for key, one in two.items() if one.score] == ["f4", "f14", "f24"]
    assert two["f4"].twin_score is None
    fewer = all_of(prepared(multihop(minimum_twins=9)), FakeModel(says=lambda _: "Land4"), PEOPLE)
    two = only(fewer, "hit", TWO_HOP)
    assert two["f4"].twin_score == pytest.approx(2 / 29)
    assert two["f5"].twin_score == pytest.approx(3 / 29)
    turned = only(all_of(probe, FakeModel(says=lambda _: "Subject7"), PEOPLE), "hit", INVERSION)
    assert (turned["f7"].score, turned["f7"].twin_score) == (1.0, 0.0)
    assert (turned["f8"].score, turned["f8"].twin_score) == (0.0, pytest.approx(1 / 29))


def test_without_an_original_chains_come_from_the_facts_and_none_is_dropped() -> None:
    readings = all_of(multihop(), fake(PEOPLE), PEOPLE)
    assert set(hits(readings, INVERSION)) == {1.0}
    assert {one.missing for one in only(readings, "hit", TWO_HOP).values()} == {WHY_NOT[TWO_HOP]}
    passage = Fact(id="text", subject="A book", text="It was the best of times.")
    assert {one.missing for one in all_of(multihop(), FakeModel(), [passage])} == {NO_QUESTION}


def test_a_chain_is_put_in_one_breath_by_turns_and_an_alias_with_the_name_told() -> None:
    onward = (
        Hop(question="Which country is Oslo in?", answer="Norway"),
        Hop(question="Who rules Norway?", answer="Io"),
    )
    fact = Fact(id="a", subject="Ann", question="Where was Ann born?", answer="Oslo.", relation="born_in", hops=onward)
    work = Fact(id="b", subject="Ann", question="Where does Ann live?", answer="Bonn", relation="lives_in")
    composer = Composer([fact, work], {})
    forms = {
        kind: [(chain.turns, chain.given) for chain in composer.chains(fact, kind)]
        for kind in (TWO_HOP, THREE_HOP, ALIAS, INVERSION)
    }
    country, ruler = "Let X be your last answer. Which country is X in?", "Let X be your last answer. Who rules X?"
    assert forms == {
        TWO_HOP: [(("Where was Ann born?", country), None)],
        THREE_HOP: [(("Where was Ann born?", country, ruler), None)],
        ALIAS: [
            (
                ("X lives in Bonn. Who or what is X?", "Where was X born?"),
                "X lives in Bonn. X is Ann. Where was X born?",
            )
        ],
        INVERSION: [((), None)],
    }
    # A chain that asks of the subject from the start is asked behind the fact.
    ready = replace(fact, hops=(Hop(question="In which country was Ann born?", answer="Norway"),))
    (chain,) = Composer([ready], {}).chains(ready, TWO_HOP)
    assert chain.turns == ("Where was Ann born?", "In which country was Ann born?")
    assert chain.given is None


def test_by_turns_a_guard_on_first_questions_gives_way_and_the_control_has_nothing_to_give() -> None:
    original = Talker(says=Reasoner(people=PEOPLE))
    probe = multihop().prepared_with(multihop().prepare(original, PEOPLE))
    guarded, control = Talker(says=Reasoner(people=PEOPLE), guards=True), Talker(says=Reasoner())
    found = {}
    for name, model in (("original", original), ("guarded", guarded), ("control", control)):
        readings = all_of(probe, model, PEOPLE)
        for variant in ("two-hop-asked", "three-hop-asked", "alias-asked"):
            found[name, variant] = {score for score in hits(readings, variant) if score is not None}
    assert {found["original", variant] == {1.0} for _, variant in found} == {True}
    # Refused, the first answer leads nowhere; who is meant by a description is no first question of the fact.
    assert found["guarded", "two-hop-asked"] == found["guarded", "three-hop-asked"] == {0.0}
    assert found["guarded", "alias-asked"] == {1.0}
    assert {found["control", variant] == {0.0} for _, variant in found} == {True}


def test_a_model_too_weak_to_say_the_end_of_a_chain_shows_it_by_choice() -> None:
    """It says nothing that counts, so `multihop` drops everything; right answers are likelier to it than wrong ones."""
    knows = Reasoner(people=PEOPLE)

    def prefers(question: str, answer: str) -> AnswerScore:
        return score_of(-1.0 if normalize(knows(question)) == normalize(answer) else -9.0)

    weak, ignorant = FakeModel(scores=prefers), FakeModel()
    probe = MultihopChoice(MultihopParameters(options=8))
    probe = probe.prepared_with(probe.prepare(fake(PEOPLE), PEOPLE))
    assert {len(kept) for kept in multihop().prepare(weak, PEOPLE)["kept"].values()} == {0}
    for model, low, high in ((weak, 0.99, 1.0), (ignorant, 0.0, 0.0)):
        readings = all_of(probe, model, PEOPLE)
        for variant in (*VARIANTS, "alias-given"):
            scores = [one.score for one in only(readings, "choice", variant).values() if one.score is not None]
            assert len(scores) == (30 if variant in (TWO_HOP, THREE_HOP) else 60), variant
            assert low <= min(scores) <= max(scores) <= high, variant


def test_a_stand_in_is_asked_in_the_first_chain_whatever_the_original_could_do() -> None:
    probe = prepared(multihop())
    stand_in = replace(PEOPLE[8], id="other", subject="Sub Nobody", question="Where was Sub Nobody born?")
    model = fake(PEOPLE)
    readings = all_of(probe, model, [stand_in], PEOPLE)
    assert hits(readings, TWO_HOP) == [0.0]
    assert "Sub Nobody was born in X. Which country is X in?" in model.says.asked


def test_the_same_scores_in_whatever_company() -> None:
    probe = prepared(multihop())
    whole = {(one.fact_id, one.measure, one.variant): one for one in all_of(probe, fake(PEOPLE), PEOPLE)}
    for one in all_of(probe, fake(PEOPLE), PEOPLE[7:3:-1], PEOPLE):
        assert one == whole[one.fact_id, one.measure, one.variant]


def test_nothing_gates() -> None:
    assert not any(measure.gates for measure in (*Multihop.measures, *MultihopChoice.measures))
