"""docs/ten-minutes.md: every command of the page is run, in its order, in one directory."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.science.conftest import facts as facts
from tests.science.conftest import run_of as run_of
from tests.science.conftest import shared as shared
from tests.science.conftest import shared_store as shared_store
from tests.warm import Warm

pytestmark = pytest.mark.science

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ten-minutes.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.M | re.S)
_EXIT = re.compile(r"#\s*exit code (\d)\s*$")
AUDIT = "unlearn-audit demo --checkpoint nf4-masked --out runs/demo"


@pytest.fixture
def warm() -> Iterator[Warm]:
    own = Warm(env={**os.environ, "COLUMNS": "80"})
    yield own
    own.close()


def steps() -> list[tuple[str, str]]:
    """Kind and text: each line of a shell block, each block of Python."""
    found: list[tuple[str, str]] = []
    for kind, text in _BLOCK.findall(PAGE):
        found += [(kind, line) for line in text.splitlines()] if kind == "sh" else [(kind, text)]
    return found


def run_page(warm: Warm, home: Path, audited: Callable[[], None] | None) -> None:
    """Runs all, and compares exit codes with those that the page names; `audited` stands in for the audit."""
    for kind, text in steps():
        wanted = int(found[1]) if (found := _EXIT.search(text)) else 0
        words = shlex.split(text, comments=True) if kind == "sh" else []
        if kind == "python":
            done = warm.code(text, cwd=home)
        elif words[:4] == ["python", "-m", "pip", "install"]:
            check_requirement(words[4])
            continue
        elif audited is not None and shlex.join(words) == AUDIT:
            audited()
            continue
        elif words[0] == "unlearn-audit":
            done = warm.command(*words[1:], cwd=home)
        else:
            done = subprocess.run(words, cwd=home, capture_output=True, text=True)
        assert done.returncode == wanted, (text, done.stdout, done.stderr)
    made = {path.name for path in home.iterdir()}
    assert made >= {"report.html", "report.md", "scores.csv", "forest.svg", "findings.sarif", "k.pub.pem"}
    assert (home / "runs" / "demo" / "attestation.json").is_file()


def check_requirement(requirement: str) -> None:
    """That what the page installs is this checkout, with extras that it has."""
    (extras,) = re.fullmatch(r"\.\[([a-z,-]+)\]", requirement).groups()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_the_page_has_all_steps():
    commands = [shlex.split(text, comments=True)[1] for kind, text in steps() if text.startswith("unlearn-audit")]
    assert [*dict.fromkeys(commands)] == ["doctor", "demo", "report", "gate", "init", "verify", "attest"]
    assert AUDIT in PAGE


@pytest.mark.slow
def test_every_command_does_what_the_page_says(warm, run_of, tmp_path):
    """The audit is the one that all tests share; it is smaller than the demo, and ends alike."""
    run_page(warm, tmp_path, lambda: shutil.copytree(run_of("nf4-masked"), tmp_path / "runs" / "demo"))


@pytest.mark.slow
def test_every_command_and_the_audit_itself(warm, tmp_path):
    run_page(warm, tmp_path, None)
