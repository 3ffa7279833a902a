"""What pipelines are told, and the files that define them, held to the schemas of those who read them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.cli.test_gate import invoke as invoke  # the fixture
from tests.finished.finished_run import finished_run, small
from tests.golden import sample
from tests.verdict.test_verdict import LEAK
from unlearn_audit.cli.commands.init import Pipeline
from unlearn_audit.cli.telling import github as ci

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def schema(name: str) -> dict[str, object]:
    """A schema that check-jsonschema brings along."""
    path = distribution("check-jsonschema").locate_file(f"check_jsonschema/builtin_schemas/vendor/{name}.json")
    return json.loads(Path(str(path)).read_text(encoding="utf-8"))


def as_json(text: str) -> object:
    """YAML as its schema means it: the key `on` is no boolean."""
    return json.loads(json.dumps({"on" if key is True else key: value for key, value in yaml.safe_load(text).items()}))


def test_the_action_is_one_by_githubs_schema() -> None:
    validator = jsonschema.Draft7Validator(schema("github-actions"))
    validator.validate(ACTION)
    assert not validator.is_valid({**ACTION, "runs": {"using": "composite"}})


@pytest.mark.parametrize(("pipeline", "name"), [("github", "github-workflows"), ("gitlab", "gitlab-ci")])
def test_the_pipelines_are_ones_by_their_schemas(pipeline: str, name: str, tmp_path: Path, invoke) -> None:
    assert invoke("init", tmp_path, "--ci", pipeline)[0] == 0
    text = (tmp_path / Pipeline(pipeline).path).read_text(encoding="utf-8")
    jsonschema.Draft7Validator(schema(name)).validate(as_json(text))
    assert invoke("init", tmp_path, "--ci", pipeline)[0] == 2  # it is there already
    assert invoke("init", tmp_path / "new", "--ci", "jenkins")[0] == 2


def gate_script() -> str:
    return next(step["run"] for step in ACTION["runs"]["steps"] if step.get("id") == "gate")


@pytest.mark.parametrize(("audit", "code", "outcome"), [(small(), 0, "PASS"), (small().score(1.0, **LEAK), 1, "FAIL")])
def test_the_actions_gate_exits_as_the_verdict_says(tmp_path: Path, audit, code, outcome) -> None:
    finished_run(tmp_path / "a run", audit)
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "unlearn-audit"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m unlearn_audit "$@"\n')
    tool.chmod(0o755)
    empty = dict.fromkeys(("POLICY", "WAIVERS", "BASELINE", "REQUIRE_POLICY"), "")
    given = {**empty, "RUN": str(tmp_path / "a run"), "FORMATS": f"md={tmp_path}/r.md", "GITHUB_ACTIONS": "true"}
    files = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", gate_script()],
        env={**given, **files, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert (tmp_path / "output").read_text().split() == [f"exit-code={code}", f"outcome={outcome}"]
    assert (tmp_path / "summary.md").read_text().rstrip() == (tmp_path / "r.md").read_text().rstrip()
    level = {0: "notice", 1: "error"}[code]
    assert f"::{level} title=unlearn-audit%3A {outcome} (exit code {code})::{outcome}" in done.stderr


def test_the_action_keeps_the_reports_whatever_the_verdict() -> None:
    last = ACTION["runs"]["steps"][-1]
    assert last["uses"].startswith("actions/upload-artifact@") and last["if"].startswith("always()")
    assert {line.rpartition("/")[2] for line in last["with"]["path"].split()[0:]} >= {"report.html", "result.json"}


def test_the_image_is_built_from_what_is_there() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    ]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied and set(copied) == allowed and all((ROOT / name).exists() for name in copied)
    extras = next(line.partition("=")[2] for line in lines if line.startswith("ARG EXTRAS="))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert "ARG TORCH=cpu" in lines
    (torch,) = (line for line in lines if line.endswith(" torch"))
    assert (
        '--extra-index-url "https://download.pytorch.org/whl/${TORCH}"' in torch
    )  # its own has not all that torch needs
    assert lines.index("USER auditor") > max(place for place, line in enumerate(lines) if line.startswith("FROM "))


@pytest.mark.parametrize("variant", sorted(sample.ALL))
def test_annotations_begin_with_the_verdict_and_are_one_line_each(variant: str) -> None:
    result = sample.ALL[variant]()
    lines = list(ci.commands(result))
    assert result.outcome.value in lines[0]
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)
    assert lines[0].startswith("::notice ") is (variant == "pass")


def test_text_from_outside_cannot_give_githubs_runner_an_order() -> None:
    result = sample.failed()
    hostile = "gone\n::set-env name=PATH::/tmp\r\x1b[31m 100%"
    findings = [one.model_copy(update={"id": f"a,b::c{hostile}", "reason": hostile}) for one in result.verdict.findings]
    verdict = result.verdict.model_copy(update={"findings": tuple(findings), "sentence": hostile})
    for line in ci.commands(result.model_copy(update={"verdict": verdict})):
        assert "\n" not in line and "\r" not in line and "\x1b" not in line
        head = line.split("::", 2)[1]
        assert head.count(",") == 0 and head.split(" title=")[1].count(":") == 0
        assert "100%25" in line or "exit code" in line


def test_nothing_is_written_where_this_is_no_step_of_github(monkeypatch, capsys, tmp_path: Path) -> None:
    ci.tell_github(sample.failed())
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "s.md"))
    ci.tell_github(sample.failed())
    assert capsys.readouterr().out == ""
    assert len((tmp_path / "s.md").read_text()) <= 65_001


@pytest.mark.parametrize(
    ("package", "spec", "installed"),
    [
        ("", "", "/action"),
        ("", "audit.yaml", "/action[run]"),
        ("unlearn-audit==9", "", "unlearn-audit==9"),
        ("a.whl[run]", "audit.yaml", "a.whl[run]"),
    ],
)
def test_the_action_installs_the_base_to_gate_and_the_extra_to_audit(tmp_path: Path, package, spec, installed) -> None:
    script = next(step["run"] for step in ACTION["runs"]["steps"] if step["name"] == "Install")
    (tmp_path / "python").write_text('#!/bin/sh\nfor last; do :; done\necho "$last"\n')
    (tmp_path / "python").chmod(0o755)
    given = {"PACKAGE": package, "SPEC": spec, "SOURCE": "/action", "PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script], env=given, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == installed


@pytest.mark.parametrize("pipeline", list(Pipeline))
def test_the_pipelines_install_the_extra_to_audit_and_show_how_to_gate_without(pipeline: Pipeline, tmp_path) -> None:
    active = [line.strip() for line in pipeline.text.splitlines() if not line.lstrip().startswith("#")]
    assert any("pip install 'unlearn-audit[run]'" in line for line in active)
    shown = re.sub(
        r"(?m)^( *)# (?=( *)(gate:|- |image:|script:|runs-on:|steps:|with:|python-version:))", r"\1", pipeline.text
    )
    gate = yaml.safe_load(shown)
    script = json.dumps((gate.get("jobs") or gate)["gate"])
    assert "pip install unlearn-audit" in script and "unlearn-audit gate runs/audit" in script
