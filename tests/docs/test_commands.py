"""What a page says of the command line is what the command line has."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("docs_commands", ROOT / "docs" / "commands.py")
assert _SPEC is not None and _SPEC.loader is not None
commands = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(commands)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("    unlearn-audit run X --workers 2 --executor local", None),
        ("    unlearn-audit rum X", "no such command: unlearn-audit rum"),
        ("    unlearn-audit run X --wokers 2", "unlearn-audit run has no flag --wokers"),
        ("```sh\nunlearn-audit run \\\n    --nowhere 2\n```", "unlearn-audit run has no flag --nowhere"),
        ("    unlearn-audit facts convert F --out X", None),
        ("    unlearn-audit facts convert F --nothing", "unlearn-audit facts convert has no flag --nothing"),
        ("Say `run --preset tofu/forget10`.", None),
        ("Say `run --present tofu/forget10`.", "unlearn-audit run has no flag --present"),
        ("    unlearn-audit gate X && openssl pkey -in k.pem", None),
        ("    unlearn-audit verify X  # --not-a-flag", None),
        ("We run --all of it, and `run` is a word.", None),
    ],
)
def test_a_call_is_held_against_the_commands(text: str, problem: str | None) -> None:
    assert [what for _, what in commands.problems(text)] == ([problem] if problem else [])


def test_the_reference_has_every_command() -> None:
    text = commands.reference()
    assert all(f"## `unlearn-audit {name}`" in text for name in commands.known())


def test_no_sentence_of_the_reference_is_cut() -> None:
    listed = [line for line in commands.reference().splitlines() if line.startswith("* `") and "--" not in line]
    assert len(listed) >= len(commands.known())
    assert not [line for line in listed if line.endswith("...")]
