"""The package that `init --plugin` writes passes its tests as written, is installed, listed, and runs in an audit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.test_cli import facts
from unlearn_audit.cli.commands.init_plugin import plugin_files, write_plugin
from unlearn_audit.errors import SpecError

ROOT = Path(__file__).parents[2]
ATTACK, PROBE = "my-plugins-preamble", "my-plugins-one-word"


def python(*args: object, where: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    changed = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, *map(str, args)]
    return subprocess.run(
        command, cwd=where, capture_output=True, text=True, check=False, env={**os.environ, **changed}
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The written package."""
    directory = tmp_path_factory.mktemp("written") / "my-plugins"
    write_plugin("my-plugins", directory, force=False)
    return directory


@pytest.fixture(scope="module")
def installed(package, tmp_path_factory) -> Path:
    """A folder with the package installed into it, without a network."""
    target = tmp_path_factory.mktemp("site")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    done = python("-m", "pip", "install", *options, "--target", target, package, where=package)
    assert done.returncode == 0, done.stderr
    return target


def test_it_names_nothing_of_the_template(package):
    written = {
        path: path.read_text() for path in package.rglob("*") if path.is_file() and "__pycache__" not in str(path)
    }
    assert {str(path.relative_to(package)) for path in written} >= {
        "pyproject.toml",
        "README.md",
        "my_plugins/__init__.py",
        "my_plugins/attack.py",
        "my_plugins/probe.py",
        "tests/test_contract.py",
    }
    assert not any("example" in text for text in written.values())


@pytest.mark.slow
def test_it_passes_its_tests_and_ruff_as_written(package):
    done = python("-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", where=package)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
    for command in (("check",), ("format", "--check", "--line-length", "120")):
        done = python("-m", "ruff", *command, "--isolated", "--no-cache", ".", where=package)
        assert done.returncode == 0, done.stdout


def test_installed_it_is_listed_with_its_distribution(installed, tmp_path):
    for kind, name in (("attacks", ATTACK), ("probes", PROBE)):
        done = python("-m", "unlearn_audit", "list", kind, "--json", where=tmp_path, path=installed)
        listed = {row["name"]: row for row in json.loads(done.stdout)}
        assert listed[name]["distribution"] == "my-plugins"


@pytest.mark.slow
def test_an_audit_runs_its_attack_and_its_probe(installed, tmp_path, saved_model):
    (tmp_path / "forget.jsonl").write_text(facts(4, "f"))
    done = python(
        *("-m", "unlearn_audit", "run", saved_model, "--forget", "forget.jsonl", "--profile", "quick"),
        *("--attacks", ATTACK, "--probes", PROBE, "--comparisons", "", "--out", "run", "--json"),
        where=tmp_path,
        path=installed,
    )
    result = json.loads(done.stdout)
    assert done.returncode == result["exit_code"] == 3, done.stderr  # nothing to compare with: no verdict, and no error
    assert {job["attack"] for job in result["jobs"]} == {"none", ATTACK}
    (finding,) = [one for one in result["verdict"]["findings"] if one["id"] == f"{ATTACK}/{PROBE}.hit"]
    assert {cell["dose"] for cell in finding["cells"]} <= {"opening 1", "opening 2"}
    assert not result["case"]["faults"]
    assert sum(job["observations"] for job in result["jobs"]) > 0


@pytest.mark.parametrize("name", ["My-Plugins", "my_plugins", "1st", "class", "../up", ""])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(SpecError, match="expected lower-case letters"):
        plugin_files(name)


def test_nothing_is_overwritten_unasked(tmp_path):
    write_plugin("my-plugins", tmp_path, force=False)
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(SpecError, match="already exists; --force overwrites it"):
        write_plugin("my-plugins", tmp_path, force=False)
    assert (tmp_path / "README.md").read_text() == "mine"
    write_plugin("my-plugins", tmp_path, force=True)
    assert (tmp_path / "README.md").read_text() != "mine"


@pytest.mark.slow  # tests/wheel finds every file of the checkout in the wheel
def test_the_wheel_holds_the_template(tmp_path):
    done = python("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, where=ROOT)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "plugin_template" in name}
    assert held == {path.name for path in (ROOT / "unlearn_audit/cli/commands/plugin_template").rglob("*.template")}
