"""docs/benchmarks.md: each benchmark has its section, and its commands lead from files in its layout to a verdict."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.facts.test_benchmarks import publish
from unlearn_audit.api import FactPreset
from unlearn_audit.api.plugins import PRESETS, named, names
from unlearn_audit.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
_SECTION = re.compile(r"^## .+?\n(.*?)(?=^## |\Z)", re.M | re.S)
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)
FEWER = ("--attacks", "as-is", "--probes", "recall,perturbed,utility", "--comparisons", "distribution")
"""What the tests add to `plan` and `run`: an audit of every attack takes hours on this many benchmarks."""

INCONCLUSIVE, ENDED = 3, (0, 1, 3)
OFTEN = ("muse", "rwku")


def sections() -> dict[str, list[list[str]]]:
    """The words of each command, by preset."""
    found: dict[str, list[list[str]]] = {}
    for text in _SECTION.findall(PAGE):
        lines = [shlex.split(line) for block in _BLOCK.findall(text) for line in block.splitlines()]
        benchmark = lines[0][lines[0].index("--preset") + 1]
        found[benchmark.partition("/")[0]] = lines
    return found


SECTIONS = sections()


def test_every_benchmark_has_a_section_with_every_step() -> None:
    assert set(SECTIONS) == set(names(PRESETS))
    for lines in SECTIONS.values():
        assert [line[0] for line in lines] == ["unlearn-audit"] * len(lines)
        assert [" ".join(line[1:3]) for line in lines[:2]] == ["facts check", "facts convert"]
        assert [line[1] for line in lines[2:4]] == ["plan", "run"]
    calls = [line for lines in SECTIONS.values() for line in lines if "--metrics" in line]
    assert {line[line.index("--metrics") + 1] for line in calls} == {"tofu", "muse", "rwku", "wmdp"}


def given(name: str) -> str:
    """Publishes a sample where the section says that the files are; the configuration it takes."""
    benchmark = SECTIONS[name][0][SECTIONS[name][0].index("--preset") + 1]
    config = benchmark.partition("/")[2]
    publish(Path("data") / name, named(PRESETS, FactPreset, name, "presets")(), config)
    return config


def invoke(words: list[str], ends: tuple[int, ...], *more: str) -> str:
    done = CliRunner().invoke(app, [*words[1:], *more])
    assert done.exit_code in ends, (words, done.output, done.exception)
    return done.output


@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in names(PRESETS)]
)
def test_the_files_are_looked_at_and_converted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given(name)
    check, convert = SECTIONS[name][:2]
    assert "ubjects" in invoke(check, (0,))
    invoke(convert, (0,))
    assert Path("facts", name, "forget.jsonl").is_file()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], None]:
    """Three small models; a call links them into the current directory by the names that the page gives them."""
    from unlearn_audit.testing.models import tiny_module, tiny_tokenizer

    home, tokenizer = tmp_path_factory.mktemp("models"), tiny_tokenizer()
    for seed, name in enumerate(("CHECKPOINT", "O", "R")):
        tiny_module("llama", len(tokenizer), seed=seed).save_pretrained(home / name)
        tokenizer.save_pretrained(home / name)

    def link() -> None:
        for path in home.iterdir():
            Path(path.name).symlink_to(path)

    return link


@pytest.mark.slow
@pytest.mark.parametrize("name", names(PRESETS))
def test_the_commands_lead_to_a_verdict(
    name: str, models: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few rows prove little: `plan` says that no PASS is possible, and `run` ends with a verdict and no error."""
    monkeypatch.chdir(tmp_path)
    given(name)
    models()
    plan, run, *more = SECTIONS[name][2:]
    assert "cannot end in PASS" in invoke(plan, (INCONCLUSIVE,), *FEWER)
    invoke(run, ENDED, *FEWER, "--quiet")
    result = json.loads(Path("runs", name, "result.json").read_text(encoding="utf-8"))
    assert result["verdict"]["outcome"] in ("PASS", "FAIL", "INCONCLUSIVE")
    for line in more:
        invoke(line, (0,))
