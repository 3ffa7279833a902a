"""The rooms are drawn from the code: each once, on the floor that the import contract gives it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
assert _SPEC is not None and _SPEC.loader is not None
generate = importlib.util.module_from_spec(_SPEC)
sys.modules["docs_generate"] = generate  # its dataclass looks for its own module
_SPEC.loader.exec_module(generate)

CONTRACT = """
[[tool.importlinter.contracts]]
name = "floors"
type = "layers"
layers = ["unlearn_audit.top | unlearn_audit.other", "unlearn_audit.one", "attacks"]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, code in {
        "pyproject.toml": CONTRACT,
        "unlearn_audit/__init__.py": "",
        "unlearn_audit/top/__init__.py": '"""Up here,\nunder the roof.\n\nMore."""\n\n__all__ = ["door", "gate"]\n',
        "unlearn_audit/other/__init__.py": '"""Next door."""\n\n\ndef use(): ...\n\n\ndef _own(): ...\n',
        "unlearn_audit/one.py": '"""One module."""\n\n\nclass Thing: ...\n',
        "attacks/__init__.py": '"""Attacks."""\n',
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(code, encoding="utf-8")
    return tmp_path


def test_a_room_has_its_purpose_and_doors(tree: Path) -> None:
    (top, other), (one,), (attacks,) = generate.floors(tree)
    assert (top.name, top.purpose, top.doors) == ("top", "Up here, under the roof.", ("door", "gate"))
    assert (other.path, other.doors) == ("unlearn_audit/other/", ("use",))
    assert (one.path, one.doors) == ("unlearn_audit/one.py", ("Thing",))
    assert attacks.doors_in_short == "entry points unlearn_audit.attacks"


def test_the_drawing_is_a_house(tree: Path) -> None:
    lines = generate.drawing(generate.floors(tree))
    assert len({len(line) for line in lines}) == 1
    assert [line.strip("│ ").split()[0] for line in lines if line.startswith("│ ") and line[2] != " "] == [
        "top",
        "one",
        "attacks",
    ]
    assert "┬" in lines[0] and "┴" in lines[3] and lines[-1].startswith("└")


def test_a_module_in_no_layer_is_found(tree: Path) -> None:
    assert generate.homeless(tree) == []
    (tree / "unlearn_audit" / "lost.py").write_text("", encoding="utf-8")
    assert generate.homeless(tree) == ["unlearn_audit/lost.py"]


def test_a_part_of_a_page_is_written_again_and_the_rest_kept() -> None:
    begin, end = generate.ROOMS
    page = f"# A\n\n{begin}\nold\n{end}\n\nown words\n"
    once = generate.filled(page, "new")
    assert once == f"# A\n\n{begin}\n\nnew\n\n{end}\n\nown words\n"
    assert generate.filled(once, "new") == once
    with pytest.raises(ValueError, match="no part"):
        generate.filled("# A\n", "new")


def test_every_room_of_ours_is_placed() -> None:
    assert generate.homeless() == []
