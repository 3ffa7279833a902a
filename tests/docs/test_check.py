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


def test_ours_have_none() -> None:
    assert check.problems(ROOT) == []
