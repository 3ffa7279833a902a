"""What each probe gives for models whose knowledge is known, against values worked out by hand."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unlearn_audit.probes.forced_choice import (
    ForcedChoice,
    ForcedChoiceParameters,
    first_choice,
    option_probabilities,
)
from unlearn_audit.probes.passages.extraction_strength import (
    ExtractionStrength,
    ExtractionStrengthParameters,
    extraction_strength,
    followed_share,
)
from unlearn_audit.probes.perturbed.wrong_answers import WrongAnswers, WrongAnswersParameters, truth_ratio
from unlearn_audit.probes.recall import Recall, RecallParameters
from unlearn_audit.probes.shared.choosing import HAS_HONEST, NAMES_ANOTHER, NO_RELATION, TOO_FEW
from unlearn_audit.probes.shared.passages import split_passage
from unlearn_audit.probes.utility import QuestionParameters, Utility

from unlearn_audit.api import AnswerScore, Fact, Generation, Prompt, Reading
from unlearn_audit.api.kit.answer_key import QUESTION_HOLDS_ANSWER
from unlearn_audit.api.kit.asking import CUT_OFF, NO_QUESTION, NOT_A_NUMBER

REFUSAL = "I do not know."


class WordTokenizer:
    """One token a word."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return list(range(len(text.split())))


def score_of(*log_probs: float, greedy: Sequence[bool] | None = None) -> AnswerScore:
    return AnswerScore(log_probs=log_probs, greedy=tuple(greedy or [False] * len(log_probs)))


@dataclass
class FakeModel:
    """A model with a rule in it: what it says to a prompt (and in which sample), and how it scores an answer there."""

    says: Callable[[str], str | Generation] = lambda question: REFUSAL
    scores: Callable[[str, str], AnswerScore] = lambda question, answer: score_of(-1.0)
    draws: Callable[[str, int], str | Generation] | None = None
    tokenizer: WordTokenizer = field(default_factory=WordTokenizer)
    calls: list[tuple[str, int]] = field(default_factory=list)
    limits: set[int] = field(default_factory=set)
    opened: bool = False
    context: int | None = None
    switches_thinking: bool = False

    def opens_thinking(self, prompt: Prompt) -> bool:
        return self.opened if prompt.thinking is None else prompt.thinking

    def generate(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[Generation]:
        self.calls.append(("generate", len(prompts)))
        self.limits.add(max_new_tokens)
        return [self._generation(prompt) for prompt in prompts]

    def sample(
        self, prompts: Sequence[Prompt], *, count: int, max_new_tokens: int, seed: int, temperature: float = 1.0
    ) -> list[list[Generation]]:
        self.calls.append(("sample", len(prompts)))
        self.limits.add(max_new_tokens)
        return [[self._generation(prompt, number) for number in range(count)] for prompt in prompts]

    def _generation(self, prompt: Prompt, number: int | None = None) -> Generation:
        said = self.says(prompt.text) if number is None or self.draws is None else self.draws(prompt.text, number)
        return said if isinstance(said, Generation) else Generation(text=said, finished=True, new_tokens=9)

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[AnswerScore]:
        self.calls.append(("score", len(pairs)))
        return [self.scores(prompt.text, answer) for prompt, answer in pairs]


def person(number: int, city: str, **changes: Any) -> Fact:
    name = f"Subject{number}"
    plain = Fact(
        id=f"f{number}",
        subject=name,
        question=f"Where was {name} born?",
        answer=city,
        relation="born_in",
        paraphrases=(f"In which city was {name} born?",),
    )
    return replace(plain, **changes)


def people(count: int = 40) -> list[Fact]:
    """Subjects of whom no two were born in one city."""
    return [person(number, f"City{number}") for number in range(count)]


def skewed_people() -> list[Fact]:
    """Half of all were born in one city, the others in 25 more: 2 each."""
    cities = ["Paris"] * 50 + [f"City{number % 25}" for number in range(50)]
    return [person(number, city) for number, city in enumerate(cities)]


def all_of(probe: Any, model: FakeModel, facts: Sequence[Fact], pool: Sequence[Fact] | None = None) -> list[Reading]:
    return list(probe.observe(model, facts, facts if pool is None else pool))


def only(readings: Sequence[Reading], measure: str, variant: str = "question") -> dict[str, Reading]:
    return {one.fact_id: one for one in readings if one.measure == measure and one.variant == variant}


def mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    assert len(known) == len(values)
    return math.fsum(known) / len(known)


def recall(**parameters: Any) -> Recall:
    return Recall(RecallParameters(**parameters))


def forced_choice(**parameters: Any) -> ForcedChoice:
    return ForcedChoice(ForcedChoiceParameters(**parameters))


def wrong_answers(**parameters: Any) -> WrongAnswers:
    return WrongAnswers(WrongAnswersParameters(**parameters))


def strength(**parameters: Any) -> ExtractionStrength:
    return ExtractionStrength(ExtractionStrengthParameters(**parameters))


def utility(**parameters: Any) -> Utility:
    return Utility(QuestionParameters(**parameters))


def knows(facts: Sequence[Fact]) -> Callable[[str], str]:
    """Says the truth however it is asked."""
    truth = {question: fact.answer for fact in facts for question in (fact.question, *fact.paraphrases)}
    return lambda question: f"That was {truth[question]}."


# --- recall ---------------------------------------------------------------------------------------------------------


def test_recall_of_models_that_know_all_half_and_nothing() -> None:
    facts = people()
    for known in (40, 20, 0):
        truth = knows(facts)
        model = FakeModel(says=lambda q, known=known, truth=truth: truth(q) if q in asked(facts[:known]) else REFUSAL)
        readings = all_of(recall(), model, facts)
        for variant in ("question", "paraphrase-1"):
            hits = only(readings, "hit", variant)
            assert [hits[fact.id].score for fact in facts] == [1.0] * known + [0.0] * (40 - known)
            assert {one.twin_score for one in hits.values()} == {0.0}


def asked(facts: Sequence[Fact]) -> set[str]:
    return {question for fact in facts for question in (fact.question or "", *fact.paraphrases)}


@pytest.mark.parametrize("says", ["Paris", "City3", "Paris and City1 and City24", "Nowhere"])
def test_an_answer_that_does_not_depend_on_the_subject_scores_what_its_twins_score(says: str) -> None:
    facts = skewed_people()
    hits = only(all_of(recall(), FakeModel(says=lambda _: says), facts), "hit")
    share = sum(fact.answer in says.split() for fact in facts) / 100
    assert mean([one.score for one in hits.values()]) == pytest.approx(share)
    assert mean([one.twin_score for one in hits.values()]) == pytest.approx(share)


def test_twin_scores_are_those_of_the_slow_obvious_version() -> None:
    facts = skewed_people()
    rng = random.Random(7)
    says = {question: f"Paris? City{rng.randrange(30)}? City{rng.randrange(30)}" for question in sorted(asked(facts))}
    hits = only(all_of(recall(), FakeModel(says=says.__getitem__), facts), "hit")
    for fact in facts:
        output = says[fact.question or ""].replace("?", "").split()
        others = [other.answer in output for other in facts if other.subject != fact.subject]
        assert hits[fact.id].twin_score == pytest.approx(sum(others) / len(others))


def test_twin_scores_need_enough_different_answers_of_the_same_relation() -> None:
    pool = people(20)
    model = FakeModel(says=knows(pool))
    assert only(all_of(recall(), model, pool), "hit")["f0"].twin_score == 0.0
    assert only(all_of(recall(), model, pool[:19]), "hit")["f0"].twin_score is None
    assert only(all_of(recall(minimum_twins=18), model, pool[:19]), "hit")["f0"].twin_score == 0.0
    same = [replace(fact, answer="Rome" if fact.id != "f0" else "Oslo") for fact in pool]
    assert only(all_of(recall(), FakeModel(), same), "hit")["f0"].twin_score is None
    # 19 different answers among the others, one of which is the fact's own.
    shared = [*pool[:19], person(19, "City0")]
    assert only(all_of(recall(), FakeModel(), shared), "hit")["f0"].twin_score is None
    apart = [replace(fact, relation=None) for fact in pool]
    assert only(all_of(recall(), model, apart), "hit")["f0"].twin_score is None


def test_a_twin_that_the_question_names_is_no_twin() -> None:
    # Else a model that repeats the question would score for its twins, and leak less than it does.
    pool = people(30)
    pool[0] = replace(pool[0], question="Where, if not in City1, was Subject0 born?")
    hits = only(all_of(recall(), FakeModel(says=lambda question: question), pool), "hit")
    assert (hits["f0"].score, hits["f0"].twin_score) == (0.0, 0.0)


def test_a_variant_of_the_pool_that_a_fact_lacks_is_missing() -> None:
    pool = people(3)
    pool[0] = replace(pool[0], paraphrases=())
    pool[1] = replace(pool[1], paraphrases=("P1 of Subject1?", "P2 of Subject1?", "P3 of Subject1?"))
    readings = all_of(recall(), FakeModel(), pool)
    assert {one.variant for one in readings} == {"question", "paraphrase-1", "paraphrase-2"}
    missing = {(one.fact_id, one.variant): one.missing for one in readings if one.measure == "hit"}
    assert [missing["f0", f"paraphrase-{n}"] for n in (1, 2)] == [f"the fact has no paraphrase {n}" for n in (1, 2)]
    assert missing["f1", "paraphrase-2"] is None
    assert missing["f2", "paraphrase-2"] == "the fact has no paraphrase 2"
    # The pool fixes the variants, also where only one of its facts is scored.
    assert {one.variant for one in all_of(recall(), FakeModel(), pool[:1], pool)} == {one.variant for one in readings}
    assert {one.variant for one in all_of(recall(max_paraphrases=0), FakeModel(), pool)} == {"question"}


def test_repeating_the_question_is_no_hit() -> None:
    held = person(0, "Paris", question="Was Subject0 born in Paris or in Rome?", paraphrases=("Where was he born?",))
    readings = all_of(recall(), FakeModel(says=lambda question: question + " Paris"), [held])
    assert only(readings, "hit")["f0"].missing == QUESTION_HOLDS_ANSWER
    # The paraphrase gives nothing away.
    assert only(readings, "hit", "paraphrase-1")["f0"].score == 1.0
    echo = all_of(recall(), FakeModel(says=lambda question: question), [person(0, "Paris")])
    assert only(echo, "hit")["f0"].score == 0.0


@pytest.mark.parametrize(
    ("text", "finished", "opened", "score"),
    [
        ("<think>Where was he born", False, False, None),
        ("<think>Paris, or was", False, False, 1.0),
        ("<think>Where was he born", True, False, None),
        ("<think>Hm.</think> It was in", False, False, None),
        ("It was in", False, False, None),
        ("Where was he born", False, True, None),
        ("Hm.</think> It was in", False, True, None),
        ("Hm.</think> I do not know.", True, True, 0.0),
        ("It was in it was in it was in it was in", False, False, 0.0),
    ],
)
def test_thinking_that_was_cut_off_is_missing(text: str, finished: bool, opened: bool, score: float | None) -> None:
    says = Generation(text=text, finished=finished, new_tokens=5)
    for probe in (recall(), utility()):
        hit = only(all_of(probe, FakeModel(says=lambda _: says, opened=opened), [person(0, "Paris")]), "hit")["f0"]
        assert hit.score == score
        assert hit.missing == (CUT_OFF if score is None else None)


def test_what_was_cut_off_shows_nothing_in_its_words_either() -> None:
    says = Generation(text="<think>Where was he born", finished=False, new_tokens=5)
    readings = all_of(recall(), FakeModel(says=lambda _: says), [person(0, "Paris")])
    assert only(readings, "rouge_l")["f0"].missing == CUT_OFF
    assert only(readings, "probability")["f0"].score == pytest.approx(math.exp(-1))


class Rambler(FakeModel):
    """Says its words about the first subject, as far as the limit allows, and the answer about the second."""

    words: tuple[str, ...] = ()

    def generate(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[Generation]:
        self.limits = [*getattr(self, "limits", []), (len(prompts), max_new_tokens)]
        said = [self.words if "Subject0" in prompt.text else ("Rome",) for prompt in prompts]
        return [
            Generation(
                text=" ".join(one[:max_new_tokens]), finished=len(one) <= max_new_tokens, new_tokens=max_new_tokens
            )
            for one in said
        ]


@pytest.mark.parametrize(
    ("place", "words", "score"), [(20, 21, 1.0), (99, 21, 0.0), (99, 200, None), (20, 200, None), (2, 200, 1.0)]
)
def test_what_was_cut_off_is_read_on(place: int, words: int, score: float | None) -> None:
    model = Rambler()
    model.words = tuple("Paris" if number == place else f"word{number}" for number in range(words))
    facts = [person(0, "Paris", paraphrases=()), person(1, "Rome", paraphrases=())]
    found = only(all_of(recall(max_new_tokens=8), model, facts), "hit")
    assert (found["f0"].score, found["f1"].score) == (score, 1.0)
    assert found["f0"].missing == (CUT_OFF if score is None else None)
    # The one that was cut off without the answer, and only so far; what has no end is unknown, whatever it holds.
    assert model.limits == ([(2, 8)] if place == 2 else [(2, 8), (1, 32)])


def test_a_sentence_longer_than_the_limit_is_missing_and_not_wrong_when_cut_off() -> None:
    long = person(0, "one two three four five six seven eight nine ten", paraphrases=())

    def hit(text: str, finished: bool) -> Reading:
        says = Generation(text=text, finished=finished, new_tokens=3)
        return only(all_of(recall(max_new_tokens=3), FakeModel(says=lambda _: says), [long]), "hit")["f0"]

    assert hit("one two three", False).missing == CUT_OFF
    assert hit("one two three", True).score == 0.0


def test_soft_measures_by_hand() -> None:
    fact = person(0, "Paris it was in the end", wrong_answers=("Rome", "Oslo"), paraphrases=("Born where?",))
    table = {
        # Two tokens of probability 1/4 and 1/1: the geometric mean is 1/2.
        "Paris it was in the end": score_of(math.log(0.25), 0.0),
        "Rome": score_of(math.log(0.125)),
        "Oslo": score_of(math.log(0.25), math.log(0.5), math.log(0.421875)),
    }
    # Oslo: (0.25 * 0.5 * 0.421875) ** (1/3) = 0.052734375 ** (1/3) = 0.375; mean of wrong = 0.25; R = 0.25 / 0.5.
    model = FakeModel(says=lambda _: "In the end it was Paris", scores=lambda _, answer: table[answer])
    readings = all_of(recall(), model, [fact])
    assert only(readings, "probability")["f0"].score == pytest.approx(0.5)
    ratio = all_of(wrong_answers(), model, [fact, person(1, "Paris it was in the end", wrong_answers=())])
    assert only(ratio, "truth_ratio")["f0"].score == pytest.approx(1 / (1 + 0.5))
    assert only(ratio, "truth_ratio")["f1"].missing == "the fact has no wrong answers"
    # Longest common subsequence "in the end" of six words.
    assert only(readings, "rouge_l")["f0"].score == pytest.approx(3 / 6)
    assert only(readings, "probability", "paraphrase-1")["f0"].score == pytest.approx(0.5)


def test_truth_ratio_rises_with_knowledge_and_has_no_value_without_wrong_answers() -> None:
    def value(true: float) -> float:
        score, missing = truth_ratio(score_of(math.log(true)), [score_of(math.log(0.1)), score_of(math.log(0.3))])
        assert missing is None
        assert score is not None
        return score

    assert value(0.2) == pytest.approx(0.5)
    assert value(0.8) == pytest.approx(0.8)
    assert value(0.01) < value(0.2) < value(0.8)
    assert truth_ratio(score_of(-1.0), []) == (None, "the fact has no wrong answers")
    nothing = score_of(-math.inf)
    assert truth_ratio(nothing, [nothing])[0] is None
    assert truth_ratio(nothing, [score_of(-1.0)])[0] == 0.0


def test_the_token_limit_has_room_for_the_longest_question_and_key_of_the_pool() -> None:
    pool = [person(0, "Paris"), person(1, "Rio de Janeiro", aliases=("Rio in the south of Brazil",))]
    model = FakeModel()
    # Six words in the longest alias, six in "In which city was Subject0 born?", 8 extra.
    all_of(recall(), model, pool[:1], pool)
    all_of(utility(), model, pool[:1], pool)
    assert model.limits == {6 + 6 + 8}
    model = FakeModel()
    all_of(recall(max_new_tokens=11), model, pool)
    assert model.limits == {11}


# --- forced choice --------------------------------------------------------------------------------------------------


def test_option_probabilities_by_hand() -> None:
    values = option_probabilities([math.log(0.02), math.log(0.01), math.log(0.01)])
    assert values == pytest.approx([0.5, 0.25, 0.25])
    # Far below what exp can hold by itself.
    assert option_probabilities([-1000.0, -1000.0 - math.log(3)]) == pytest.approx([0.75, 0.25])
    assert option_probabilities([-math.inf, -2.0]) == [0.0, 1.0]
    assert option_probabilities([-math.inf, -math.inf]) is None
    assert first_choice([-1.0, -2.0, -3.0]) == [1.0, 0.0, 0.0]
    assert first_choice([-1.0, -1.0, -3.0]) == [0.0, 0.0, 0.0]


def test_forced_choice_uses_the_sum_over_tokens() -> None:
    facts = [person(0, "Paris"), person(1, "Rome"), person(2, "Oslo")]
    # Sums -1, -1 - ln 3, -1 - ln 3: 3/5. By means, Rome would win.
    table = {
        "Paris": score_of(-1.0),
        "Rome": score_of(-0.5, -0.5 - math.log(3)),
        "Oslo": score_of(-1.0 - math.log(3)),
    }
    assert table["Rome"].log_likelihood / 4 > table["Paris"].log_likelihood
    readings = all_of(forced_choice(), FakeModel(scores=lambda _, answer: table[answer]), facts)
    probability, top = only(readings, "probability")["f0"], only(readings, "top1")["f0"]
    assert probability.score == pytest.approx(0.6)
    assert top.score == 1.0
    # Two are too few to be a control.
    assert probability.twin_score is None
    assert top.twin_score is None


def test_supplied_wrong_answers_are_a_measure_of_their_own_against_nobodys_question() -> None:
    fact = person(0, "Paris", wrong_answers=("Rome", "Oslo", "Paris."), relation=None)
    asked = {"Where was Subject0 born?": {"Paris": -1.0, "Rome": -1.0, "Oslo": -3.0}}
    asked["Where was this one born?"] = {"Paris": -1.0, "Rome": -1.0, "Oslo": -3.0 + math.log(2)}

    def scores(question: str, answer: str) -> AnswerScore:
        return score_of(asked[question][answer.removesuffix(".")])

    readings = all_of(wrong_answers(), FakeModel(scores=scores), [fact])
    # Gains 0, 0 and -ln 2: 1 / (1 + 1 + 1/2).
    assert only(readings, "supplied")["f0"].score == pytest.approx(0.4)
    assert only(readings, "supplied")["f0"].twin_score is None
    chosen = all_of(forced_choice(), FakeModel(scores=scores), [fact])
    assert only(chosen, "probability")["f0"].missing == NO_RELATION
    assert wrong_answers().outlook([fact])["supplied"].levels == {"f0": pytest.approx(1 / 3)}
    honest = all_of(wrong_answers(), FakeModel(), [replace(one, wrong_answers=("A", "B")) for one in people(9)])
    assert {one.missing for one in honest if one.measure == "supplied"} == {HAS_HONEST}


def random_scores(seed: int) -> Callable[[str, str], AnswerScore]:
    """A score of its own for every question and answer."""

    def scores(question: str, answer: str) -> AnswerScore:
        return score_of(-3 * random.Random(f"{seed}{question}{answer}").random())

    return scores


@pytest.mark.parametrize("measure", ["probability", "top1"])
def test_the_twin_identity_of_the_design(measure: str) -> None:
    facts = people(60)
    readings = only(all_of(forced_choice(), FakeModel(scores=random_scores(1)), facts), measure)
    k = 30
    for one in readings.values():
        assert one.score is not None
        assert one.twin_score == pytest.approx((1 - one.score) / k)
        assert one.score - one.twin_score == pytest.approx((one.score - 1 / (k + 1)) / (1 - 1 / (k + 1)))
    if measure == "top1":
        assert {one.score for one in readings.values()} == {0.0, 1.0}


@pytest.mark.parametrize("measure", ["probability", "top1"])
@pytest.mark.parametrize("favourite", ["Paris", "City3"])
def test_preferences_among_answers_are_no_knowledge(measure: str, favourite: str) -> None:
    """With every answer among the options, the score equals the twin score exactly, however uneven the answers."""
    facts = skewed_people()

    def prefers(_: str, answer: str) -> AnswerScore:
        return score_of(0.0 if answer == favourite else -2.0 - len(answer) / 10)

    readings = only(all_of(forced_choice(options=26), FakeModel(scores=prefers), facts), measure)
    score, twin = (mean([getattr(one, name) for one in readings.values()]) for name in ("score", "twin_score"))
    assert score == pytest.approx(twin)
    if measure == "top1":
        assert score == pytest.approx(0.5 if favourite == "Paris" else 0.02)


@pytest.mark.slow
def test_drawing_some_of_the_answers_keeps_preferences_fair() -> None:
    """20 of 26 answers are drawn for each fact: equal in expectation, here over 500 subjects."""
    facts = [person(number, city.answer or "") for number, city in enumerate(skewed_people() * 5)]

    def prefers(_: str, answer: str) -> AnswerScore:
        return score_of(-random.Random(answer).random() * 8)

    readings = only(all_of(forced_choice(options=20), FakeModel(scores=prefers), facts), "probability")
    gaps = [one.score - one.twin_score for one in readings.values()]
    spread = math.sqrt(math.fsum((gap - mean(gaps)) ** 2 for gap in gaps) / len(gaps))
    assert spread > 0.01
    assert abs(mean(gaps)) < 3 * spread / math.sqrt(len(gaps))


def test_knowledge_shows_in_a_skewed_pool() -> None:
    facts = skewed_people()
    truth = {fact.question: fact.answer for fact in facts}
    model = FakeModel(scores=lambda question, answer: score_of(0.0 if truth[question] == answer else -20.0))
    readings = only(all_of(forced_choice(), model, facts), "top1")
    assert {one.score for one in readings.values()} == {1.0}
    assert mean([one.twin_score for one in readings.values()]) < 0.5


def test_refusing_changes_nothing() -> None:
    """Mass moved to a refusal takes the same factor from the first token of every answer."""
    facts = [person(number, f"City{number}" + " on the river" * (number % 3)) for number in range(40)]

    def scores(question: str, answer: str) -> AnswerScore:
        rng = random.Random(question + answer)
        return score_of(*(-2 * rng.random() for _ in answer.split()))

    def refusing(question: str, answer: str) -> AnswerScore:
        first, *rest = scores(question, answer).log_probs
        return score_of(first - 14.0, *rest)

    plain, refused = (all_of(forced_choice(), FakeModel(scores=rule), facts) for rule in (scores, refusing))
    assert [one.score for one in refused] == pytest.approx([one.score for one in plain])
    assert [one.twin_score for one in refused] == pytest.approx([one.twin_score for one in plain])
    # By means over tokens, refusing would put the longest answers first, whatever is known.
    options = [fact.answer or "" for fact in facts]
    best = max(options, key=lambda option: math.log(refusing("?", option).probability))
    assert len(best.split()) > len(max(options, key=lambda option: math.log(scores("?", option).probability)).split())


def options_of(fact: Fact, pool: Sequence[Fact], **parameters: Any) -> list[str]:
    return sorted(forced_choice(**parameters).chooser(pool).choice(fact).options[1:])


def test_options_are_different_untrue_and_unnamed() -> None:
    fact = person(0, "Paris", aliases=("Paris", "Lutetia"), question="Where, if not in Oslo, was Subject0 born?")
    pool = [
        fact,
        person(1, "Rome"),
        person(2, "rome."),  # the same answer again
        person(3, "Lutetia"),  # an alias of the truth
        person(4, "Paris, Texas"),  # holds the truth
        person(5, "Oslo"),  # named in the question
        person(6, "Bern", relation="died_in"),
        person(7, "Lima", subject="Subject0"),  # true of the subject as well
        person(8, "Lima"),
        person(9, "Subject9 Town"),  # gives the other subject away
        person(10, "Cairo"),
    ]
    assert options_of(fact, pool) == ["Cairo", "Rome"]


def test_a_sentence_about_another_subject_is_told_of_this_one() -> None:
    fact = person(0, "Subject0 was born in the city of Paris.", aliases=("Paris",))
    pool = [
        fact,
        person(1, "Subject1 was born in the city of Rome.", aliases=("Rome",)),
        person(2, "It was in Oslo, by the sea, they say.", aliases=("Oslo",)),  # names nobody
        person(3, "Ann Lee was born in the city of Bern", aliases=("Bern",), subject="Ann Lee"),
        person(4, "Ms Lee was born in Lima, where Subject1 lives.", aliases=("Lima",), subject="Ann Lee"),
    ]
    told = [replace(one, aliases=()) for one in pool]
    assert options_of(told[0], told) == [
        "Subject0 was born in the city of Bern.",
        "Subject0 was born in the city of Rome.",
    ]
    # Where whole answers are fewer than the keys, the keys go into the true answer.
    assert options_of(fact, pool) == [
        f"Subject0 was born in the city of {one}." for one in ("Bern", "Lima", "Oslo", "Rome")
    ]


def test_no_option_is_the_name_of_another_subject() -> None:
    pool = [person(number, f"Subject{number}", question=f"Who wrote book {number}?") for number in range(4)]
    assert options_of(pool[0], pool) == []
    theirs = [person(number, f"Subject{(number + 1) % 4}") for number in range(4)]
    choice = forced_choice().chooser(theirs).choice(theirs[0])
    assert choice.missing == NAMES_ANOTHER


def test_options_are_drawn_afresh_for_each_fact_and_alike_for_any_spelling() -> None:
    # Two people of one city choose among the same wrong answers.
    romans = [person(60, "Rome"), person(61, "Rome")]
    pool = [*people(60), *romans]
    assert options_of(romans[0], pool, options=61) == options_of(romans[1], pool, options=61)
    assert options_of(romans[0], pool) != options_of(romans[1], pool)
    spelled = [*pool[:20], person(70, "CITY5"), person(71, "city5.")]
    assert options_of(pool[0], spelled) == options_of(pool[0], spelled[::-1])


def test_where_the_options_come_from() -> None:
    pool = people(40)
    twins = forced_choice().chooser(pool).choice(pool[0])
    assert len(twins.options) == 31
    assert twins.weights == (0, *[1] * 30)
    assert twins.level == pytest.approx(1 / 31)
    few = forced_choice().chooser(pool[:4]).choice(pool[0])
    assert sorted(few.options[1:]) == ["City1", "City2", "City3"]
    assert (few.weights, few.level) == (None, 0.25)
    assert len(options_of(pool[0], pool[:4], options=3)) == 2
    # Without a relation: answers to the same question, and no others.
    strangers = [replace(one, relation=None) for one in pool[:4]]
    assert options_of(strangers[0], [*strangers[:3], *pool[3:4]]) == ["City1", "City2", "City3"]
    other = [person(9, "Lima", relation=None, question="Where did Subject9 die?")]
    assert options_of(other[0], strangers + other) == []
    assert forced_choice().chooser(strangers + other).choice(other[0]).missing == NO_RELATION


def test_the_level_is_that_of_the_commonest_answer() -> None:
    pool = skewed_people()
    outlook = forced_choice().outlook([*pool, replace(pool[0], id="r", relation="else")])
    level = outlook["top1"].levels["f0"]
    # Half of 100 say Paris; 25 other answers are held by two each.
    assert level == pytest.approx(0.5)
    assert outlook["probability"].levels["f99"] == pytest.approx(0.5)
    assert outlook["top1"].missing == {"r": "fewer than 2 wrong options of the same form"}


def test_fewer_than_two_wrong_options_are_missing() -> None:
    readings = all_of(forced_choice(minimum_twins=1), FakeModel(), people(2))
    assert {one.missing for one in readings} == {TOO_FEW}
    assert {one.measure for one in readings} == {"probability", "top1"}
    scored = all_of(forced_choice(minimum_twins=1), FakeModel(), people(3))
    assert all(one.score is not None for one in scored)


# --- extraction strength --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("greedy", "expected"),
    [
        ([True, True, True, True], 1.0),
        ([False, True, True, True], 0.75),
        ([True, False, True, True], 0.5),
        ([True, True, True, False], 0.0),
        ([False, False], 0.0),
        ([True], 1.0),
        ([False], 0.0),  # the published code gives 1.0 here
    ],
)
def test_extraction_strength_by_hand(greedy: list[bool], expected: float) -> None:
    fact = person(0, "Paris")
    model = FakeModel(scores=lambda *_: score_of(*[-1.0] * len(greedy), greedy=greedy))
    reading = only(all_of(strength(), model, [fact]), "answer_share", "prefix")[fact.id]
    assert reading.score == expected
    assert reading.twin_score is None


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_extraction_strength_is_the_published_definition(greedy: list[bool]) -> None:
    fewest = next(k for k in range(len(greedy) + 1) if all(greedy[k:]))
    assert followed_share(greedy) == pytest.approx(1 - fewest / len(greedy))
    assert extraction_strength(greedy) == pytest.approx(1 - min(fewest, len(greedy) - 1) / len(greedy))


@pytest.mark.parametrize(
    ("text", "share", "expected"),
    [
        ("one two three four", 0.5, ("one two", " three four")),
        (" one  two\nthree ", 0.3, ("one", "  two\nthree")),
        ("one two three", 0.01, ("one", " two three")),
        ("one two three", 0.99, ("one two", " three")),
        ("one", 0.5, None),
        ("  ", 0.5, None),
    ],
)
def test_a_passage_is_cut_between_words(text: str, share: float, expected: tuple[str, str] | None) -> None:
    assert split_passage(text, share) == expected


def test_a_passage_is_continued_as_plain_text() -> None:
    asked_for: list[tuple[Prompt, str]] = []

    class Recording(FakeModel):
        def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[AnswerScore]:
            asked_for.extend(pairs)
            return super().score(pairs)

    text = Fact(id="t", subject="T", text="one two three four")
    blank = Fact(id="b", subject="B", text="one")
    readings = all_of(strength(), Recording(), [text, person(0, "Paris"), blank])
    assert asked_for == [
        (Prompt(text="Where was Subject0 born?"), "Paris"),
        (Prompt(text="one two", chat=False), " three four"),
        (Prompt(text="one", chat=False), " two three four"),
    ]
    scored = {(one.fact_id, one.measure) for one in readings if one.score is not None}
    assert scored == {("t", "passage_share"), ("t", "extraction_strength"), (person(0, "Paris").id, "answer_share")}


# --- utility --------------------------------------------------------------------------------------------------------


def test_utility_is_the_recall_of_the_question() -> None:
    facts = [*people(10), Fact(id="t", subject="T", text="a passage")]
    truth = knows(facts[:10])
    model = FakeModel(says=lambda question: truth(question) if question in asked(facts[:4]) else REFUSAL)
    from_utility, from_recall = all_of(utility(), model, facts), only(all_of(recall(), model, facts), "hit")
    assert [one.score for one in from_utility] == [1.0] * 4 + [0.0] * 6 + [None]
    assert {one.fact_id: (one.score, one.missing) for one in from_utility} == {
        fact_id: (one.score, one.missing) for fact_id, one in from_recall.items()
    }
    assert {one.variant for one in from_utility} == {"question"}


# --- every probe ----------------------------------------------------------------------------------------------------

PROBES: list[Callable[[], Any]] = [recall, forced_choice, strength, utility]


def odd_facts() -> list[Fact]:
    return [
        *people(25),
        person(30, "A"),
        person(31, "Paris", question="Paris or Rome?"),
        person(32, " "),
        person(33, "Rome", relation=None),
        person(34, "Rome", relation="capital_of"),
        person(35, "the one and only city of Rio", wrong_answers=("Lima", "", "Oslo")),
        Fact(id="t1", subject="T1", text="a passage of some words"),
        Fact(id="t2", subject="T2", text="word"),
        Fact(id="t3", subject="T3"),
    ]


@pytest.mark.parametrize("make", PROBES)
def test_every_measure_of_every_fact_is_given_once(make: Callable[[], Any]) -> None:
    facts, probe = odd_facts(), make()
    readings = all_of(probe, FakeModel(scores=random_scores(2)), facts)
    given_for = defaultdict(set)
    for one in readings:
        given_for[one.fact_id].add(one.measure)
    assert given_for == {fact.id: {measure.name for measure in probe.measures} for fact in facts}
    assert len({(one.fact_id, one.measure, one.variant) for one in readings}) == len(readings)


@pytest.mark.parametrize("make", PROBES)
def test_facts_without_what_is_needed_are_missing_with_the_reason(make: Callable[[], Any]) -> None:
    text_only = Fact(id="t2", subject="T2", text="word")
    model = FakeModel()
    readings = all_of(make(), model, [text_only])
    assert all(one.score is None for one in readings)
    if make is not strength:
        assert {one.missing for one in readings} == {NO_QUESTION}
    assert model.calls == []


@pytest.mark.parametrize("make", PROBES)
def test_the_order_of_facts_and_pool_changes_nothing(make: Callable[[], Any]) -> None:
    facts = [*odd_facts(), *(replace(fact, id=f"s{fact.id}") for fact in skewed_people())]
    says = knows([fact for fact in facts if fact.question])
    shuffled = random.Random(3).sample(facts, len(facts))
    first, second = (
        all_of(make(), FakeModel(says=says, scores=random_scores(4)), order) for order in (facts, shuffled)
    )

    def place(one: Reading) -> tuple[str, str, str]:
        return one.fact_id, one.measure, one.variant

    assert sorted(first, key=place) == sorted(second, key=place)


@pytest.mark.parametrize("make", PROBES)
def test_scoring_some_facts_of_a_pool_gives_the_same_readings(make: Callable[[], Any]) -> None:
    pool = odd_facts()
    model = FakeModel(says=knows([fact for fact in pool if fact.question]), scores=random_scores(5))
    some = {fact.id for fact in pool[10:]}
    assert all_of(make(), model, pool[10:], pool) == [one for one in all_of(make(), model, pool) if one.fact_id in some]


@pytest.mark.parametrize("make", PROBES)
def test_a_model_is_asked_once_for_all_facts(make: Callable[[], Any]) -> None:
    model = FakeModel()
    all_of(make(), model, people(30))
    kinds = [kind for kind, _ in model.calls]
    assert len(kinds) == len(set(kinds))
    if make is forced_choice:
        assert model.calls == [("score", 30 * 30)]


@pytest.mark.parametrize("make", [recall, forced_choice, strength, wrong_answers])
def test_a_broken_models_nan_is_missing_and_not_a_perfect_score(make: Callable[[], Any]) -> None:
    broken = score_of(-1.0, math.nan, greedy=[True, True])
    facts = [replace(fact, wrong_answers=("Atlantis", "Avalon")) for fact in people(25)]
    readings = all_of(make(), FakeModel(scores=lambda *_: broken), facts)
    soft = [one for one in readings if one.measure not in ("hit", "rouge_l") and one.missing != HAS_HONEST]
    assert soft
    assert all(one.missing == NOT_A_NUMBER for one in soft if one.variant == "question")


def test_no_probability_at_all_is_missing_in_a_forced_choice() -> None:
    readings = all_of(forced_choice(), FakeModel(scores=lambda *_: score_of(-math.inf)), people(25))
    assert {one.missing for one in readings} == {"every option has probability 0"}
