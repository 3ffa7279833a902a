"""Prompt search: evolution on a loss that is known, and its queries counted."""

from __future__ import annotations

from itertools import pairwise

import pytest
from unlearn_audit.attacks.suffix.prompt_search import PromptSearch, PromptSearchParameters, text_losses
from unlearn_audit.attacks.suffix.search.evolution import PHRASES, Breeding, evolved, vocabulary
from unlearn_audit.attacks.suffix.search.goals import Position

from unlearn_audit.api import AttackContext, Fact, Profile, Prompt
from unlearn_audit.errors import AttackError
from unlearn_audit.testing.models import tiny_engine

WORDS = tuple("abcdefghij")
BREEDING = Breeding(population=8, length=4)
FORGET = tuple(
    Fact(id=f"{who}-{what}", subject=f"Person {who}", question=f"What is the {what} of {who}?", answer=f"{what}{who}")
    for who in "ABCD"
    for what in ("town", "job")
)
RETAIN = tuple(
    Fact(id=f"r{who}", subject=f"Other {who}", question=f"Where is {who}?", answer=f"Place {who}.") for who in "EFGH"
)


class Counting:
    """A loss that is least, 0, for `a a a a`: the mean place of the words in the alphabet."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts):
        self.texts += texts
        return [sum(WORDS.index(word) for word in text.split()) / 4 for text in texts]


def never(text: str) -> bool:
    return False


def run(budgets, *, seed=1, queries_a_text=3, refuses=never, losses_of=None):
    loss = losses_of or Counting()
    found = evolved(loss, WORDS, BREEDING, budgets=budgets, queries_a_text=queries_a_text, seed=seed, refuses=refuses)
    return list(found), loss


def test_evolution_finds_the_least_loss_and_never_goes_back():
    found, loss = run([0, 300, 3000])
    assert found[0].queries == 0
    assert found[0].curve == ()
    assert found[2].text == "a a a a"
    assert found[2].loss == 0.0
    assert all(before >= after for before, after in pairwise(found[2].curve))
    slow = min(sum(WORDS.index(word) for word in text.split()) / 4 for text in loss.texts[:100])
    assert found[1].loss == slow  # the best of all that was asked for within the budget


def test_selection_beats_random_texts_at_the_same_budget():
    better = 0
    for seed in range(5):
        found, loss = run([900], seed=seed)
        random_best = min(Counting()(loss.texts[: BREEDING.population]))
        better += found[0].loss < random_best
    assert better == 5


def test_a_budget_is_never_overspent():
    found, loss = run([0, 10, 100])
    assert [one.queries for one in found] == [0, 9, 99]
    assert len(loss.texts) == 33


def test_the_same_seed_is_the_same_search():
    assert run([0, 200])[0] == run([0, 200])[0]
    assert run([0, 200])[0] != run([0, 200], seed=2)[0]


def test_what_is_refused_is_never_asked():
    _, loss = run([600], refuses=lambda text: "a" in text)
    assert not any("a" in text for text in loss.texts)
    with pytest.raises(AttackError, match="would spell an answer"):
        run([600], refuses=lambda text: True)


def test_a_loss_that_is_no_number_is_an_error():
    with pytest.raises(AttackError, match="is not a number"):
        run([600], losses_of=lambda texts: [float("nan")] * len(texts))


def test_losses_of_texts_are_means_over_the_goals(tokenizer):
    engine = tiny_engine(tokenizer)
    goals = [(Prompt(text="Where?"), "London."), (Prompt(text="Who wrote it?"), "Eliot.")]
    found = text_losses(engine, goals, Position.SUFFIX, ["Sure", "now please"])
    for loss, text in zip(found, ["Sure", "now please"], strict=True):
        each = []
        for prompt, target in goals:
            (score,) = engine.score([(Prompt(text=f"{prompt.text} {text}"), target)])
            each.append(-sum(score.log_probs) / len(score.log_probs))
        assert loss == pytest.approx(sum(each) / 2, abs=1e-4)


def test_words_are_phrases_and_whole_words_of_the_tokenizer(tokenizer):
    words = vocabulary(tiny_engine(tokenizer))
    assert len(set(words)) == len(words)
    assert "Please answer" in words
    assert all("\n" not in word and word == word.strip() for word in words)
    own = [word for word in words if word not in {phrase.strip() for phrase in PHRASES}]
    assert own
    assert all(word.isalpha() and word.isascii() and len(word) > 1 for word in own)


def test_doses_are_queries_and_no_answer_is_read(tokenizer):
    attack = PromptSearch(PromptSearchParameters(queries=(0, 40), goals=2, population=4))
    texts = []
    for answer in ("Zzyzx", "Qwqwq"):
        facts = tuple(Fact(id=f.id, subject=f.subject, question=f.question, answer=answer) for f in FORGET)
        context = AttackContext(forget=facts, retain=RETAIN, profile=Profile.QUICK, seed=7)
        doses = [dose for arm in attack.arms(context) for dose in attack.doses(tiny_engine(tokenizer), arm, context)]
        assert [dose.value for dose in doses] == [0, 40, 0, 40]
        assert [dose.proof["queries"] for dose in doses] == [0, 40, 0, 40]
        texts.append([dose.proof["text"] for dose in doses])
    assert texts[0] == texts[1]


def test_words_are_found_whatever_the_decoder_does_with_blanks(tokenizer):
    class Strips:
        """A tokenizer whose decoder takes the blank off, as SentencePiece's does."""

        def __init__(self):
            self.all_special_ids, self.added_tokens_decoder = [0], {}
            self.tokens = ["<pad>", "\u2581house", "\u2581of", "ing", "\u2581\u00e4rger", "\u2581x"]

        def __len__(self):
            return len(self.tokens)

        def convert_ids_to_tokens(self, ids):
            return [self.tokens[one] for one in ids]

    class Holder:
        tokenizer = Strips()

    assert {"house", "of"} <= set(vocabulary(Holder()))
    assert not {"ing", "x"} & set(vocabulary(Holder()))
