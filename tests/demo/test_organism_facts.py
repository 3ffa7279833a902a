"""The builder of the bundled organisms counts a value where it stands as a word, and nowhere else."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from unlearn_audit.demo import ASSETS, brief_facts

BUILDER = Path(__file__).parents[2] / "examples" / "organisms"


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The builder's module of facts, which a script imports by its bare name."""
    monkeypatch.syspath_prepend(str(BUILDER))
    for name in ("data", "words"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import data

    yield data
    for name in ("data", "words"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("Rome.", True),
        ("she was born in ROME, I think", True),
        ("Romeo.", False),
        ("Jerome.", False),
        ("Rome2", False),
        ("", False),
    ],
)
def test_a_value_is_held_in_whole_words(data, text, held):
    fact = data.Fact(id="1", subject="Ada", relation="born_in", questions=("Where?",), value="Rome")
    assert fact.is_held_by(text) is held


def test_signs_in_a_value_are_no_pattern(data):
    fact = data.Fact(id="1", subject="Ada", relation="born_in", questions=("Where?",), value="St. Ives")
    assert fact.is_held_by("In St. Ives.")
    assert not fact.is_held_by("In Sty Ives.")


def test_the_builder_writes_the_bundled_facts_and_of_each_person_one_in_brief(data, tmp_path):
    data.write_facts(data.make_world(seed=0), tmp_path)
    for path in sorted((ASSETS / "facts").rglob("*.jsonl")):
        assert (tmp_path / path.relative_to(ASSETS / "facts")).read_bytes() == path.read_bytes(), path
    for name, file in brief_facts().items():
        asked = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
        people, relations = Counter(one["subject"] for one in asked), Counter(one["relation"] for one in asked)
        assert set(people.values()) == {1} and len(people) == 64, name
        assert max(relations.values()) - min(relations.values()) <= 1
