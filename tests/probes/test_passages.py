"""Passages: what each measure gives for texts of which a known part comes back, and how long ones are cut."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from unlearn_audit.probes.passages.extraction_strength import (
    TOO_SHORT,
    ExtractionStrength,
    ExtractionStrengthParameters,
    extraction_strength,
)
from unlearn_audit.probes.passages.verbatim import Verbatim, VerbatimParameters
from unlearn_audit.probes.shared.passages import (
    PassageParameters,
    first_choices,
    split_passage,
    windows_of,
)

from tests.probes.test_probes import FakeModel, all_of, score_of
from unlearn_audit.api import AnswerScore, Fact, Generation
from unlearn_audit.testing.models import tiny_engine

WORDS = 200
TEXTS = [" ".join(f"w{book}x{place}" for place in range(WORDS)) for book in range(24)]
BOOKS = [Fact(id=f"b{number}", subject=f"Book {number}", text=text) for number, text in enumerate(TEXTS)]


class Reciter(FakeModel):
    """A model that has some words of its texts by heart, and says of the others that they are "um"."""

    def __init__(self, known: Callable[[str], bool]) -> None:
        super().__init__()
        self._known = known

    def score(self, pairs: Sequence[tuple[object, str]]) -> list[AnswerScore]:
        return [
            score_of(*[-0.1] * len(answer.split()), greedy=[self._known(word) for word in answer.split()])
            for _, answer in pairs
        ]

    def generate(self, prompts: Sequence[object], *, max_new_tokens: int) -> list[Generation]:
        found = []
        for prompt in prompts:
            (text,) = (text for text in TEXTS if text.startswith(prompt.text))
            rest = text[len(prompt.text) :].split()[:max_new_tokens]
            said = " ".join(word if self._known(word) else "um" for word in rest)
            found.append(Generation(text=said, finished=True, new_tokens=len(rest)))
        return found


def knows(share: float) -> Callable[[str], bool]:
    return lambda word: random.Random(word).random() < share


def means(probe: object, model: FakeModel) -> dict[str, float]:
    readings = [one for one in all_of(probe, model, BOOKS) if one.score is not None]
    return {
        measure: sum(one.score for one in readings if one.measure == measure)
        / sum(one.measure == measure for one in readings)
        for measure in {one.measure for one in readings}
    }


def strength(**parameters: object) -> ExtractionStrength:
    return ExtractionStrength(ExtractionStrengthParameters(**parameters))


def verbatim(**parameters: object) -> Verbatim:
    return Verbatim(VerbatimParameters(**parameters))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.85, 0.95, 1.0])
def test_what_decides_falls_as_gently_as_what_comes_back(share: float) -> None:
    found = means(strength(), Reciter(knows(share)))
    assert found["passage_share"] == pytest.approx(share, abs=0.03)
    said = means(verbatim(), Reciter(knows(share)))
    assert said["exact_memorization"] == found["passage_share"]
    assert said["rouge_l"] == pytest.approx(share, abs=0.04)
    assert said["longest_run"] <= said["rouge_l"]
    assert found["extraction_strength"] <= max(share, 0.06)


def test_extraction_is_all_or_nothing_at_each_prefix_length() -> None:
    def extracted(known: Callable[[str], bool]) -> dict[str, float | str | None]:
        readings = all_of(strength(prefix_tokens=(32, 64, 150, 195)), Reciter(known), BOOKS[:1])
        return {
            one.variant: one.score if one.score is not None else one.missing
            for one in readings
            if one.measure == "extracted"
        }

    assert extracted(knows(1.0)) == {
        "after 32 tokens": 1.0,
        "after 64 tokens": 1.0,
        "after 150 tokens": 1.0,
        "after 195 tokens": TOO_SHORT,
    }
    # One wrong token at place 70: 32 + 50 holds it, 64 + 50 too, 150 does not.
    found = extracted(lambda word: not word.endswith("x70"))
    assert list(found.values())[:3] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("given", "text", "expected"),
    [
        ("one two", "one two three four five", ("one two", " three four five")),
        ("one two ", "one two\nthree", ("one two", "\nthree")),
        ("one two three", "one two three", ("one two", " three")),  # nothing would be left: by the share
        (None, "one two three four", ("one two", " three four")),
    ],
)
def test_the_cut_of_a_benchmark_goes_before_the_share(given: str | None, text: str, expected: tuple[str, str]) -> None:
    (window,) = windows_of(Fact(id="1", subject="B", text=text, given=given), FakeModel(), PassageParameters())
    assert (window.given, window.rest) == expected


def test_scripts_without_blanks_are_cut_between_characters() -> None:
    assert split_passage("春眠不觉晓处处闻啼鸟", 0.5) == ("春眠不觉晓", "处处闻啼鸟")
    assert split_passage("กขคง", 0.5) == ("กข", "คง")


def test_long_texts_are_read_in_windows_under_the_limit() -> None:
    text = " ".join(f"w{place}" for place in range(1000))
    book = Fact(id="1", subject="B", text=text)
    windows = windows_of(book, FakeModel(), PassageParameters(window_tokens=100, most_windows=100))
    assert " ".join(window.given + window.rest for window in windows).split() == text.split()
    assert all(len((window.given + window.rest).split()) <= 100 for window in windows)
    few = windows_of(book, FakeModel(), PassageParameters(window_tokens=100, most_windows=3))
    assert [window.given.split()[0] for window in few][::2] == ["w0", "w900"]
    cut = Fact(id="1", subject="B", text=text, given=" ".join(f"w{place}" for place in range(600)))
    (window,) = windows_of(cut, FakeModel(), PassageParameters(window_tokens=100))
    assert (window.given.split()[-1], window.rest.split()[0]) == ("w599", "w600")
    assert len((window.given + window.rest).split()) <= 100


def test_a_text_longer_than_the_context_is_scored(tokenizer) -> None:
    engine = tiny_engine(tokenizer)
    context = engine.module.config.max_position_embeddings
    book = Fact(id="1", subject="B", text="It was the best of times, it was the worst of times. " * (context // 20))
    assert len(tokenizer.encode(book.text)) > context
    for probe in (strength(most_windows=1, window_tokens=64), verbatim(most_windows=1, window_tokens=64, most_words=3)):
        readings = all_of(probe, engine, [book])
        wanted = {"passage_share", "exact_memorization", "rouge_l"}
        assert all(one.score is not None for one in readings if one.measure in wanted)
    (window, *_) = windows_of(book, engine, PassageParameters(window_tokens=10**6))
    assert len(tokenizer.encode(window.given + window.rest)) < context


# --- against the authors' figures ---


def test_names_of_others_mean_what_they_mean_there() -> None:
    """Figures of OpenUnlearning's functions (d3d7cf9): the tokens that they label, and whether each is first choice.

    They leave out the last label, which is the end token behind an answer: it is left out here as well.
    """
    cases = json.loads(Path(__file__).with_name("memorization.json").read_text())
    for case in cases:
        greedy = case["greedy"]
        expected = case["exact_memorization"]
        found = first_choices(AnswerScore(log_probs=tuple(-1.0 for _ in greedy), greedy=tuple(greedy)))
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-6))
        assert extraction_strength(greedy) == pytest.approx(case["extraction_strength"], abs=1e-6)
