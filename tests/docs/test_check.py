"""What nobody filled in is found, and what only looks like it is not."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("docs_check", ROOT / "docs" / "check.py")
assert _SPEC is not None and _SPEC.loader is not None
check = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(check)


def found(tmp_path: Path, text: str, name: str = "README.md") -> list[str]:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return check.problems(tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# A\n\n@@REAL@@\n", "README.md:3: unfilled placeholder '@@REAL@@'"),
        ("TODO\n", "README.md:1: unfilled placeholder 'TODO'"),
        ("see TODO-DOC\n", "README.md:1: unfilled placeholder 'TODO'"),
        ("in <version, fill in>\n", "README.md:1: unfilled placeholder '<version, fill in>'"),
        ("Lorem ipsum dolor\n", "README.md:1: unfilled placeholder 'Lorem ipsum'"),
        ("# A\n\ntext\n\n## B\n\n## C\n\ntext\n", "README.md:5: nothing stands under the heading '## B'"),
        ("# A\n\ntext\n\n## B\n", "README.md:5: nothing stands under the heading '## B'"),
        ("# A\n\n[b](docs/b.md)\n", "README.md:3: links to docs/b.md, which is not there"),
        ("![b](b.png#x)\n", "README.md:1: links to b.png, which is not there"),
    ],
)
def test_what_nobody_filled_in_is_found(tmp_path: Path, text: str, problem: str) -> None:
    assert found(tmp_path, text) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "# A\n\n## B\n\ntext\n",  # a heading that its first part follows
        "# A\n\n    # a comment in code\n",
        "# A\n\n```\n# one\n# two\n[b](b.md)\n```\n",
        "[here](README.md#a) [there](https://example.org/x.md) [mail](mailto:a@example.org) [up](#a)\n",
        "`[a](b)` and <name> and `<think>` and a mastodon\n",
    ],
)
def test_what_only_looks_like_it_is_not(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == []


def test_docstrings_are_read_and_code_is_not(tmp_path: Path) -> None:
    text = '"""A module.\n\nTBD\n"""\n\nWORD = "TODO"\n\n\ndef f():\n    """FIXME."""\n'
    assert found(tmp_path, text, "unlearn_audit/a.py") == [
        "unlearn_audit/a.py:3: unfilled placeholder 'TBD'",
        "unlearn_audit/a.py:10: unfilled placeholder 'FIXME'",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Whoever signs it.\n",
        "each control taken singly\n",
        "The gravest wins.\n",
        "Mend what faulted.\n",
        "It is broken, too.\n",
        "These are dropped, too, and counted.\n",
        "It fails, too (see below).\n",
        "It fails,\n  too.\n",
        "what is missing is said\n",
        "an attack is left out, and said to be\n",
        "the file lacks a key\n",
        "Beside twins there are placebo facts.\n",
        "A refusal is no unlearning.\n",
        "audit it anew\n",
        "dequantised, and quantised again\n",
    ],
)
def test_habits_are_found(tmp_path: Path, text: str) -> None:
    assert len(found(tmp_path, text)) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "too few subjects, too little to prove a leak\n",
        "12 %, too much to pass\n",
        "There is no control, and there\nare no twins.\n",
        "It is no longer there, is no more than that, and is no faster.\n",
        "a lack of power; the number beside the interval\n",
        "recommended amendments\n",
        "`quantisers` and `is said` are code\n",
        "a span `of two\nlines, too.` of code\n",
        "```\nwhoever\n```\n\n    the gravest\n",
        "<!-- Written by a program. Do not edit. -->\n\nsingly\n",
    ],
)
def test_other_uses_are_not(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == []


def test_a_habit_is_found_in_its_line(tmp_path: Path) -> None:
    assert found(tmp_path, "# A\n\n```\ncode\n```\n\n`a\nb` singly\n") == [
        "README.md:8: 'singly': say: each on its own, separately"
    ]


CODE = """
from a import Imported

LIMIT: int = 3
OTHER = 4


class Kept:
    field: str

    def put(self) -> None: ...


def work() -> None:
    inner = 1
"""


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("store.desk", True),
        ("store.desk.work", True),
        ("store.desk.work()", True),
        ("unlearn_audit.store.desk.Kept.put", True),
        ("store.desk.Kept.field", True),
        ("store.desk.LIMIT", True),
        ("store.desk.OTHER", True),
        ("store.desk.Imported", True),
        ("store.VERSION", True),
        ("store.executors", False),
        ("store.desk.gone", False),
        ("store.desk.work.inner", False),
        ("store.desk.Kept.gone", False),
        ("attacks.noise.Noise", True),
        ("attacks.noise.Gone", False),
        ("store.json", True),  # a file
        ("elsewhere.gone", True),  # no room of ours
    ],
)
def test_names_of_the_code_must_exist(tmp_path: Path, name: str, there: bool) -> None:
    for folder, module, code in (
        ("unlearn_audit/store", "__init__", "VERSION = 1\n"),
        ("unlearn_audit/store", "desk", CODE),
        ("attacks", "__init__", ""),
        ("attacks", "noise", "class Noise: ...\n"),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / f"{module}.py").write_text(code, encoding="utf-8")
    problems = found(tmp_path, f"through `{name}`\n", "docs/architecture.md")
    assert problems == ([] if there else [f"docs/architecture.md:1: names {name}, which is not in the code"])


def test_the_way_of_one_fact_names_functions() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    way = text.partition("## The way of one fact")[2]
    assert len(check._DOTTED.findall(way)) >= 25


@pytest.mark.slow  # and a part of `make check`
def test_ours_have_none() -> None:
    assert check.problems(ROOT) == []
