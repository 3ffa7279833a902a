"""Text to calibrate on: windows as long as is read, full of it, and nothing that gives a forget fact away."""

from __future__ import annotations

import pytest
from unlearn_audit.attacks.quantization.calibration import calibration, filled, retain_texts
from unlearn_audit.attacks.shared.texts import generic_texts

from unlearn_audit.api import AttackError, Fact
from unlearn_audit.testing.models import tiny_engine

FACTS = (
    Fact(id="1", subject="a", question="Who?", answer="Me."),
    Fact(id="2", subject="b", text="A passage."),
    Fact(id="3", subject="c", question="What?", answer="That."),
)


def words(text: str) -> int:
    return len(text.split())


def test_windows_are_filled_and_none_is_longer_than_is_read() -> None:
    texts = ["a b c", "d e", "f", "g h i j k l m n o p", "q"]
    # One more for what stands between two texts: 3 + 1 and 2 + 1 fit into 8, and 1 + 1 more does not.
    assert list(filled(texts, 8, words)) == [["a b c", "d e"], ["f"], ["g h i j k l m"], ["q"]]
    assert list(filled([], 8, words)) == []


def test_generic_text_goes_on_where_the_paragraphs_end(tokenizer) -> None:
    engine = tiny_engine(tokenizer)
    found = calibration(engine, (), None, windows=40, tokens=64)
    assert len(found.windows) == 40
    assert len(set(found.windows)) == 40
    assert found.texts[0].startswith(generic_texts(1)[0][:20])
    for window in found.windows:
        assert 32 <= len(tokenizer.encode(window, add_special_tokens=False)) <= 64


def test_a_text_that_gives_a_fact_away_is_left_out(tokenizer) -> None:
    told = Fact(id="9", subject="Ada Karsk", question="Where was Ada Karsk born?", answer="Osaka")
    retain = (*FACTS, Fact(id="8", subject="d", question="Where was Ada Karsk born?", answer="Osaka"))
    found = calibration(tiny_engine(tokenizer), (told,), retain, windows=None, tokens=None)
    assert found.dropped == 1
    assert found.texts == ("Who? Me.", "A passage.", "What? That.")
    assert found.windows == ("Who? Me.\nA passage.\nWhat? That.",)


def test_calibration_on_retain_facts_needs_some() -> None:
    assert retain_texts(FACTS[:2]) == ("Who? Me.", "A passage.")
    with pytest.raises(AttackError, match="empty"):
        retain_texts(())
