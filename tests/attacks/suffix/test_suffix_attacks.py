"""The suffix attacks: what they aim at, on which questions, what a text may not spell, and what is asked in the end."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from unlearn_audit.attacks.shared.asking.questions import sampled
from unlearn_audit.attacks.suffix import transfer as suffix_transfer
from unlearn_audit.attacks.suffix.attack import Suffix
from unlearn_audit.attacks.suffix.hygiene import Spells, check_scored, shown_texts
from unlearn_audit.attacks.suffix.openings import Asked, own_openings
from unlearn_audit.attacks.suffix.parameters import OpeningParameters, Scope, SuffixParameters
from unlearn_audit.attacks.suffix.scopes import quests_of, scored_in
from unlearn_audit.attacks.suffix.search.goals import Found
from unlearn_audit.attacks.suffix.toward_answers import SuffixAnswer
from unlearn_audit.attacks.suffix.transfer import SuffixTransfer, SuffixTransferParameters, turns

from unlearn_audit.api import AnswerScore, AttackContext, Fact, Generation, Profile, Prompt, Screen
from unlearn_audit.errors import AttackError, AuditError
from unlearn_audit.testing.models import tiny_engine

FORGET = tuple(
    Fact(
        id=f"{who}-{what}",
        subject=f"Person {who}",
        question=f"What is the {what} of {who}?",
        answer=f"{what}{who}",
        paraphrases=(f"Name the {what} of {who}.",),
    )
    for who in "ABCD"
    for what in ("town", "job")
)
RETAIN = tuple(
    Fact(id=f"r{who}", subject=f"Other {who}", question=f"Where is {who}?", answer=f"Place {who}.") for who in "EFGH"
)
ALONE = Fact(id="alone", subject="Eve", question="Where is Eve?", answer="Rome")
PASSAGE = Fact(id="passage", subject="Eliot", text="George Eliot wrote a long novel about a town in the year 1871.")
SMALL = {"steps": (0, 2), "width": 4, "length": 3, "goals": 2}


def context_of(facts=FORGET, prepared=None) -> AttackContext:
    return AttackContext(forget=facts, retain=RETAIN, profile=Profile.QUICK, seed=7, prepared=prepared or {})


def fact(answer: str, *aliases: str, question: str = "Where?") -> Fact:
    return Fact(id=answer, subject="Somebody Else", question=question, answer=answer, aliases=aliases)


class TestSpelling:
    @pytest.mark.parametrize(
        "text",
        ["go to Osaka now", "os aka!", "xOSAKAx", "O-s-a-k-a", "osakb", "NewYork", "n ewyor k"],
    )
    def test_an_answer_is_found_however_it_is_cut(self, text):
        assert Spells([fact("Osaka."), fact("New York")])(text)

    @pytest.mark.parametrize("text", ["", "x x x", "Kasa", "York", "Kyoto of old"])
    def test_other_texts_are_not(self, text):
        assert not Spells([fact("Osaka."), fact("New York")])(text)

    def test_short_answers_count_as_words_alone(self):
        spells = Spells([fact("yes"), fact("12")])
        assert spells("say yes")
        assert spells("at 12")
        assert not spells("yesterday 123")

    def test_a_sentence_is_told_by_its_own_words_or_by_its_aliases(self):
        sentence = "The author of the book was born in the town of Trondheim."
        asked = "Where was the author of the book born?"
        assert Spells([fact(sentence, question=asked)])("a Trondheim x")
        assert not Spells([fact(sentence, question=asked)])("the author")
        assert not Spells([fact(sentence, "Nidaros", question=asked)])("a Trondheim x")
        assert Spells([fact(sentence, "Nidaros", question=asked)])("nid aros")

    def test_what_it_lets_through_the_screen_of_the_runner_lets_through(self):
        facts = [
            Fact(id=str(place), subject=f"Person {name}", question=f"Where is {name}?", answer=answer)
            for place, (name, answer) in enumerate([("Ada", "Wolverhampton"), ("Bob", "Osaka"), ("Cy", "New York")])
        ]
        spells, screen = Spells(facts), Screen(facts)
        for text in ("Wolverhamton", "Wolvrhamptn", "Osuka x", "new yorck", "N ew York", "x Wolver hampton", "Kyoto"):
            given = any(screen([f"{one.subject} {text}" for one in facts]).gives_away)
            assert spells(text) or not given

    def test_shown_is_the_subject_with_its_text_unless_its_name_is_the_answer(self):
        named = Fact(id="n", subject="Paris Hilton", question="What is her first name?", answer="Paris")
        shown = shown_texts([(FORGET[0], "x y"), (FORGET[1], "x y"), (named, "x y")])
        assert shown == ("Person A x y",)


class Ruled:
    """A model with a rule: it refuses names in `hides`, else says what `says` has, and prefers what `favours` has."""

    def __init__(self, says, favours, usual):
        self.says, self.favours, self.usual = says, favours, usual

    def generate(self, prompts, *, max_new_tokens):
        texts = [self.says.get(prompt.text, "I do not know it") for prompt in prompts]
        return [Generation(text=text, finished=True, new_tokens=1) for text in texts]

    def score(self, pairs):
        nats = [self.usual[answer] + 2.0 * (self.favours.get(prompt.text) == answer) for prompt, answer in pairs]
        return [AnswerScore(log_probs=(value, value), greedy=(False, False)) for value in nats]


def test_the_opening_is_the_one_that_stands_out_and_never_the_refusal():
    retain = tuple(Fact(id=name, subject=name, question=f"{name}?", answer="-") for name in ("r1", "r2", "r3"))
    facts = tuple(Fact(id=name, subject=name, question=f"{name}?", answer="secret") for name in ("f1", "f2"))
    model = Ruled(
        says={"r1?": "It is in Rome today", "r2?": "It was in Bonn"},  # and it refuses r3
        favours={"f1?": "It was", "f2?": "It is"},
        usual={"It is": -1.0, "It was": -9.0, "I do": -0.1},  # the likeliest everywhere stands out nowhere
    )
    assert own_openings(model, facts, about(facts, retain), words=2, most=9) == ({"f1": "It was", "f2": "It is"}, 0)
    assert own_openings(model, facts, about(facts), words=2, most=9) == ({}, 0)


def about(facts, retain=()) -> AttackContext:
    return AttackContext(forget=tuple(facts), retain=tuple(retain), profile=Profile.QUICK, seed=7)


def born(name: str, city: str) -> Fact:
    return Fact(id=name, subject=name, question=f"Where was {name} born?", answer=city)


class TestTemplates:
    ASKED = (born("Ada Moss", "Lima"), born("Bob Pine", "Cork"))
    OTHERS = (born("Rita Reed", "Rome"), born("Karl Fern", "Bonn"))

    def openings(self, says, words=9):
        usual = dict.fromkeys((f"{one.subject} was born in" for one in self.ASKED), -1.0)
        model = Ruled(
            says={one.question: said for one, said in says}, favours={}, usual=usual | {"Bonn": -1.0, "Rome": -2.0}
        )
        return own_openings(model, self.ASKED, about(self.ASKED, self.OTHERS), words=words, most=9)

    def test_a_target_names_who_is_asked_after_and_ends_before_the_value(self):
        said = [(one, f"{one.subject} was born in {one.answer}, it is said") for one in self.OTHERS]
        wanted = {one.id: f"{one.subject} was born in" for one in self.ASKED}
        assert self.openings(said) == (wanted, 0)
        # Its own answers to what is asked open alike, which is no refusal.
        assert self.openings([*said, *((one, f"{one.subject} was born in Ulm") for one in self.ASKED)]) == (wanted, 0)

    def test_an_answer_that_names_another_or_says_a_value_before_is_no_source(self):
        (one, two) = self.OTHERS
        said = [(one, "Like Karl Fern, she was born in Rome"), (two, "Not in Lima; in Bonn")]
        assert self.openings(said) == ({}, 0)

    def test_of_values_alone_the_values_are_aimed_at_and_counted(self):
        found, values = self.openings([(one, one.answer) for one in self.OTHERS])
        assert set(found) == {one.id for one in self.ASKED}
        assert set(found.values()) <= {"Rome", "Bonn"}
        assert values == 2


def test_a_short_search_changes_several_tokens_a_step_and_the_published_one_a_single_one():
    assert {SuffixParameters().search_of(profile, steps=1).merged for profile in Profile} == {8}
    assert SuffixParameters(merged=0).search_of(Profile.QUICK, steps=1).merged == 0
    assert SuffixParameters(merged=3).search_of(Profile.STANDARD, steps=1).merged == 3


def test_cross_target_learns_on_other_subjects_and_every_fact_is_scored_once():
    scored = []
    for fold in range(2):
        (quest,) = quests_of(Scope.CROSS_TARGET, FORGET, folds=2, fold=fold, goals=3, seed=1)
        assert len(quest.learn) == 3
        assert not {one.subject for one in quest.learn} & {one.subject for one in quest.serve}
        scored += [one.id for one in quest.serve]
    assert sorted(scored) == sorted(one.id for one in FORGET)


def test_cross_query_learns_on_the_subjects_other_facts_and_leaves_the_lonely_out():
    facts = (*FORGET, ALONE)
    quests = quests_of(Scope.CROSS_QUERY, facts, folds=2, fold=0, goals=9, seed=1)
    assert [quest.serve[0].id for quest in quests] == [one.id for one in FORGET]
    for quest in quests:
        assert [one.subject for one in quest.learn] == [quest.serve[0].subject]
        assert quest.learn[0].id != quest.serve[0].id
    assert scored_in(Scope.CROSS_QUERY, facts) == FORGET
    with pytest.raises(AttackError, match="two facts"):
        quests_of(Scope.CROSS_QUERY, [ALONE], folds=2, fold=0, goals=9, seed=1)
    attack = Suffix(OpeningParameters(scopes=(Scope.CROSS_QUERY,)))
    with pytest.raises(AuditError, match="two facts"):
        attack.arms(context_of((ALONE,)))


def test_within_query_learns_on_the_question_itself():
    quests = quests_of(Scope.WITHIN_QUERY, FORGET, folds=2, fold=0, goals=9, seed=1)
    assert [(quest.learn, quest.serve) for quest in quests] == [((one,), (one,)) for one in FORGET]


def test_a_prompt_gets_the_text_of_its_question_or_of_the_likest():
    asked = Asked({one.id: (one, f"text of {one.id}") for one in (*FORGET, PASSAGE)})
    assert asked(Prompt(text="What is the town of B?")) == "text of B-town"
    assert asked(Prompt(text="Name the job of C.")) == "text of C-job"
    assert asked(Prompt(text="Pray: What is the job of D? Quick!")) == "text of D-job"
    assert asked(Prompt(text="George Eliot wrote", chat=False)) == "text of passage"
    assert asked(Prompt(text="What is the town of Nobody?")).endswith("-town")  # a placebo


def doses_of(attack, engine, context):
    return [dose for arm in attack.arms(context) for dose in attack.doses(engine, arm, context)]


@pytest.mark.parametrize("scope", list(Scope))
def test_the_search_lowers_the_loss_and_the_text_is_asked(scope, tokenizer):
    engine = tiny_engine(tokenizer)
    attack = Suffix(OpeningParameters(scopes=(scope,), **SMALL))
    doses = doses_of(attack, engine, context_of())
    assert sorted({dose.value for dose in doses}) == [0, 2]
    for start, end in zip(doses[::2], doses[1::2], strict=True):
        assert start.fact_ids == end.fact_ids
        assert end.proof["loss"] <= end.proof["losses"][0]
        assert end.proof["scored_candidates"] > 0
        assert not any(Screen(FORGET)(end.shown).gives_away)
        one = next(one for one in FORGET if one.id in end.fact_ids)
        text = next(shown for shown in end.shown if shown.startswith(one.subject)).removeprefix(f"{one.subject} ")
        if scope is Scope.CROSS_TARGET:
            direct = engine.score([(Prompt(text=f"{one.question} {text}"), "London")])
            assert end.model.score([(Prompt(text=one.question), "London")]) == direct


@pytest.mark.parametrize("scope", [Scope.CROSS_TARGET, pytest.param(Scope.WITHIN_QUERY, marks=pytest.mark.slow)])
def test_the_answer_free_search_reads_no_answer_and_the_other_one_does(scope, tokenizer):
    shown = {}
    for kind, parameters in ((Suffix, OpeningParameters), (SuffixAnswer, SuffixParameters)):
        attack = kind(parameters(scopes=(scope,), **{**SMALL, "steps": (3,), "width": 8}))
        shown[kind] = [
            [dose.shown for dose in doses_of(attack, tiny_engine(tokenizer), context_of(facts))]
            for facts in (tuple(replace(one, answer=answer) for one in FORGET) for answer in ("7654321", "()()()ZQX"))
        ]
    assert shown[Suffix][0] == shown[Suffix][1]
    assert shown[SuffixAnswer][0] != shown[SuffixAnswer][1]


def test_passages_and_questions_are_searched_apart(tokenizer):
    passages = tuple(
        Fact(id=f"p{who}", subject=f"Author {who}", text=f"The writer {who} wrote a little more of the text in {who}.")
        for who in "KLMN"
    )
    context = context_of((*FORGET, *passages))
    doses = doses_of(Suffix(OpeningParameters(**SMALL)), tiny_engine(tokenizer), context)
    scored = [fact_id for dose in doses if dose.value == 2 for fact_id in dose.fact_ids]
    assert sorted(scored) == sorted(one.id for one in context.forget)
    assert {dose.proof["texts"] for dose in doses} <= {1, 2}


def test_without_retain_facts_the_opening_is_affirmative(tokenizer):
    attack = Suffix(OpeningParameters(**{**SMALL, "steps": (0,)}, targets=("Sure",)))
    context = replace(context_of(), retain=())
    facts = sampled(FORGET, 2)
    targets, about = attack.targets(tiny_engine(tokenizer), facts, context)
    assert set(targets.values()) == {"Sure"}
    assert about == {"objective": "own", "own_openings": 0, "affirmative_openings": 2}


def test_a_transferred_text_is_found_on_the_original_alone(tokenizer):
    attack = SuffixTransfer(SuffixTransferParameters(surrogates=("original",), **SMALL))
    prepared = attack.prepare(tiny_engine(tokenizer), context_of())
    roles = [doses_of(attack, tiny_engine(tokenizer, seed=seed), context_of(prepared=prepared)) for seed in (1, 2)]
    assert [dose.shown for dose in roles[0]] == [dose.shown for dose in roles[1]]
    assert [dose.value for dose in roles[0]] == [0, 2, 0, 2]
    for start, end in zip(roles[0][::2], roles[0][1::2], strict=True):
        assert end.proof["losses_on_surrogates"][0] <= start.proof["losses_on_surrogates"][0]
    with pytest.raises(AttackError, match="original"):
        doses_of(attack, tiny_engine(tokenizer), context_of())


@pytest.mark.parametrize("steps", [0, 1, 5, 40])
def test_surrogates_take_turns_and_share_the_steps(steps):
    given = list(turns(["one", "two"], steps))
    assert sum(share for _, share in given) == steps
    if steps == 40:
        assert given == [("one", 10), ("two", 10), ("one", 10), ("two", 10)]


def test_senseless_parameters_are_refused():
    for kind, wrong in (
        (OpeningParameters, {"steps": (4, 1)}),
        (OpeningParameters, {"scopes": ("cross-query", "cross-query")}),
        (SuffixTransferParameters, {"scopes": ("within-query",)}),
        (SuffixTransferParameters, {"surrogates": ("original", "original")}),
    ):
        with pytest.raises(ValueError, match=r"steps|scopes|surrogates"):
            kind.model_validate(wrong)


def test_the_unoptimized_text_has_no_loss_in_the_proof(tokenizer):
    doses = doses_of(Suffix(OpeningParameters(**{**SMALL, "steps": (0,)})), tiny_engine(tokenizer), context_of())
    assert all("loss" not in dose.proof for dose in doses)
    assert all(not isinstance(value, float) or math.isfinite(value) for dose in doses for value in dose.proof.values())


def test_a_search_that_scored_nothing_is_an_error_and_no_search():
    idle = Found(text="x", loss=1.0, step=0, losses=(1.0,), tokens=1, scored=0, unstable=7, refused=3, notes=())
    with pytest.raises(AttackError, match="14 were not stable"):
        check_scored([idle, idle])
    check_scored([idle, replace(idle, scored=1)])


def test_where_no_copy_refuses_the_search_runs_on_the_original_and_says_so(tokenizer, monkeypatch):
    def fails(*_, **__):
        raise AttackError("no plant: it would not refuse")

    monkeypatch.setattr(suffix_transfer, "refusal_plant", fails)
    attack = SuffixTransfer(SuffixTransferParameters(**SMALL))
    engine = tiny_engine(tokenizer)
    (dose, *_) = doses_of(attack, engine, context_of(prepared=attack.prepare(engine, context_of())))
    assert "would not refuse" in dose.proof["surrogates"]["refusing"]
    with pytest.raises(AttackError, match="no model to search on"):
        SuffixTransfer(SuffixTransferParameters(surrogates=("refusing",), **SMALL)).prepare(engine, context_of())
