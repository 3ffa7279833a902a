"""The wheel's files, what the base does without the extra `run`, and that nobody can hide our plug-ins."""

from __future__ import annotations

import json
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.finished.finished_run import finished_run, small
from tests.finished.test_merge import parted
from tests.verdict.test_verdict import LEAK
from tests.wheel.installations import ROOT, Installation, built, closure, installed, linked, metadata, requirements
from unlearn_audit import __version__
from unlearn_audit.errors import RUN

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HEAVY = {"torch", "transformers", "datasets", "peft", "scikit-learn", "statsmodels", "scipy", "accelerate"}
KINDS = ("attacks", "probes", "comparisons", "writers")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def linked_base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with closing(linked(tmp_path_factory.mktemp("base"), wheel)) as installation:
        yield installation


@pytest.fixture(scope="session")
def installed_base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with closing(installed(tmp_path_factory.mktemp("base"), wheel)) as installation:
        yield installation


@pytest.fixture(params=["linked_base", pytest.param("installed_base", marks=pytest.mark.slow)])
def base(request: pytest.FixtureRequest) -> Installation:
    """The base alone."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An editable install of this checkout, with the base's dependencies."""
    return linked(tmp_path_factory.mktemp("editable"), built(tmp_path_factory.mktemp("wheel"), editable=True))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, one that passes and one that fails, and the parts of a third."""
    home = tmp_path_factory.mktemp("runs")
    finished_run(home / "good", small())
    finished_run(home / "bad", small().score(1.0, **LEAK))
    parted(home, small())
    return home


def test_the_wheel_has_the_files_of_the_checkout_and_no_others(wheel: Path) -> None:
    wanted = set()
    for top, place in (("unlearn_audit", "unlearn_audit"), ("attacks", "unlearn_audit/attacks")):
        wanted |= _files(ROOT / top, place)
    wanted |= _files(ROOT / "probes", "unlearn_audit/probes")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        found = {name for name in names if ".dist-info/" not in name}
        assert len(names) == len(set(names))
        assert found == wanted
        for name in ("attacks", "probes"):  # the folders' own, not the stubs of a checkout
            assert archive.read(f"unlearn_audit/{name}/__init__.py") == (ROOT / name / "__init__.py").read_bytes()
    for kind in (".py", ".typed", ".css", ".j2", ".yml", ".yaml", ".json", ".txt", ".jsonl", ".safetensors"):
        assert any(name.endswith(kind) for name in found), kind


def _files(folder: Path, place: str) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {f"{place}/{path.relative_to(folder).as_posix()}" for path in files}


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    about = metadata(wheel)
    assert about["Version"] == __version__
    assert about["License-Expression"] == "Apache-2.0"
    assert "Typing :: Typed" in (about.get_all("Classifier") or [])
    assert {line.split(",")[0] for line in about.get_all("Project-URL") or []} >= {"Homepage", "Changelog", "Issues"}


def test_the_base_is_light(wheel: Path) -> None:
    assert {one.name for one in requirements(wheel)} == {Requirement(line).name for line in PROJECT["dependencies"]}
    found = closure(requirements(wheel))
    assert not found & HEAVY
    assert len(found) <= 35
    assert not {name for name in found if name.startswith("nvidia")}


def test_what_is_said_to_be_missing_is_what_the_extra_installs() -> None:
    owners = packages_distributions()
    checked = {canonicalize_name(owner) for module in RUN for owner in owners[module]}
    extra = {canonicalize_name(Requirement(line).name) for line in PROJECT["optional-dependencies"]["run"]}
    assert checked == extra - {"bitsandbytes"}


def test_what_is_asked_for_is_pinned_and_every_install_keeps_to_it() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(name): number for name, _, number in (line.partition("==") for line in lines) if number}
    asked = [Requirement(one) for group in PROJECT["optional-dependencies"].values() for one in group]
    asked += [Requirement(one) for one in PROJECT["dependencies"]]
    for one in asked:
        if one.name != PROJECT["name"]:
            assert one.specifier.contains(pinned[canonicalize_name(one.name)]), one
    for name in ("Makefile", "Dockerfile"):
        installs = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if "pip install" in line]
        assert installs and all("-c constraints.txt" in line for line in installs)


@pytest.mark.parametrize(("run", "code"), [("good", 0), ("bad", 1)])
def test_the_base_gates(base: Installation, runs: Path, run: str, code: int) -> None:
    done = base.run("gate", runs / run, "--json", cwd=runs)
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout) == json.loads((runs / run / "result.json").read_text())


def test_the_base_reports_in_every_format_but_one(base: Installation, runs: Path, tmp_path: Path) -> None:
    listed = json.loads(base.run("list", "writers", "--json", cwd=tmp_path).stdout)
    apart = [each["name"] for each in listed if each["name"] == "model-card" or each["needs"] == "published"]
    apart.append("pdf")  # it needs a browser
    names = {each["name"]: each["file_name"] for each in listed if each["name"] not in apart}
    done = base.run("report", runs / "bad", *(f"-f{name}={tmp_path}" for name in names), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == set(names.values())
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("<svg") >= 1
    told(
        base.run("report", runs / "bad", "-f", "model-card", cwd=tmp_path), "`model-card` needs huggingface_hub", "run"
    )


def test_the_base_compares_merges_and_verifies(base: Installation, runs: Path, tmp_path: Path) -> None:
    done = base.run("compare", runs / "bad", "--baseline", runs / "good", "-f", "html=changes.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "<svg" in (tmp_path / "changes.html").read_text(encoding="utf-8")
    done = base.run("gate", runs / "bad", "--baseline", runs / "good", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    done = base.run("merge", tmp_path / "whole", runs / "part-1", runs / "part-2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = base.run("verify", tmp_path / "whole", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "BAD" not in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_base_lists_everything(base: Installation, tmp_path: Path, kind: str) -> None:
    assert ours(base, kind, tmp_path) == set(PROJECT["entry-points"][f"unlearn_audit.{kind}"])


def test_the_base_starts_people_off(base: Installation, tmp_path: Path) -> None:
    assert base.run("--version", cwd=tmp_path).stdout == f"unlearn-audit {__version__}\n"
    assert "Usage: unlearn-audit " in base.run("--help", cwd=tmp_path).stdout
    assert base.run("init", "new", "--ci", "github", cwd=tmp_path).returncode == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"audit.yaml", "policy.yaml", ".github"}
    for document in ("result", "spec", "policy", "waivers"):
        assert json.loads(base.run("schema", document, cwd=tmp_path).stdout)["type"] == "object"
    assert "nf4-masked" in base.run("demo", "--checkpoint", "list", cwd=tmp_path).stdout
    done = base.run("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BROKEN" not in done.stdout
    assert "pip install 'unlearn-audit[run]'" in done.stdout


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("run", "somewhere"), "`run` needs torch"),
        (("plan", "somewhere", "--profile", "nonsense"), "`plan` needs torch"),
        (("demo",), "`demo` needs torch"),
        (("doctor", "somewhere"), "`doctor CHECKPOINT` needs torch"),
        (("graph", "facts.jsonl", "--out", "g.json"), "`graph` needs networkx"),
        (("facts", "check", "facts.jsonl"), "`facts check` needs babel"),
    ],
)
def test_what_needs_the_extra_says_so_in_one_line(base: Installation, tmp_path: Path, args, what: str) -> None:
    told(base.run(*args, cwd=tmp_path), what, "run")


def test_a_signature_says_that_it_needs_its_extra(base: Installation, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "k.pem").write_text("no key")
    told(base.run("attest", runs / "good", "--key", tmp_path / "k.pem", cwd=tmp_path), "a signature needs", "sign")


def told(done, what: str, extra: str) -> None:
    """One line, which names what is missing and what installs it; exit code 2."""
    assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ") and what in done.stderr
    assert done.stderr.endswith(f": pip install 'unlearn-audit[{extra}]'\n")


@pytest.fixture(params=["linked_base", pytest.param("editable", marks=pytest.mark.slow)])
def installation(request: pytest.FixtureRequest) -> Installation:
    return request.getfixturevalue(request.param)


def test_nobody_can_hide_our_plug_ins(installation: Installation, tmp_path: Path) -> None:
    for name in ("attacks", "probes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('a hostile {name} was imported')\n")
    for kind in (
        "attacks",
        "probes",
    ):  # hostile in the working directory, which `python -m` puts first, and on the path
        assert ours(installation, kind, tmp_path, tmp_path) == set(PROJECT["entry-points"][f"unlearn_audit.{kind}"])
    done = installation.started("doctor", cwd=tmp_path, path=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BROKEN" not in done.stdout and "hostile" not in done.stdout + done.stderr


def test_doctor_says_where_plug_ins_come_from_that_are_not_ours(base: Installation, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.machinery, importlib.util, sys\n"
        "class Elsewhere:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'unlearn_audit.attacks':\n"
        f"            return importlib.util.spec_from_file_location(name, {str(tmp_path / 'x.py')!r},\n"
        f"                submodule_search_locations=[{str(tmp_path)!r}])\n"
        "sys.meta_path.insert(0, Elsewhere())\n"
    )
    (tmp_path / "x.py").write_text("")
    done = base.started("doctor", cwd=tmp_path, path=tmp_path)
    assert done.returncode == 4
    assert "BROKEN expected unlearn_audit.attacks in " in done.stdout
    assert f"found it in {tmp_path}: reinstall unlearn-audit" in done.stdout


def ours(installation: Installation, kind: str, cwd: Path, path: Path | None = None) -> set[str]:
    """Names of the plug-ins that come with the tool, none of them broken."""
    args = ("list", kind, "--json")
    done = installation.run(*args, cwd=cwd) if path is None else installation.started(*args, cwd=cwd, path=path)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert not [each for each in listed if "broken" in each]
    return {each["name"] for each in listed if each["distribution"] == "unlearn-audit"}


@pytest.mark.slow
def test_the_wheel_audits_with_the_extra(wheel: Path, tmp_path: Path) -> None:
    full = linked(tmp_path / "full", wheel, "run")
    done = full.run("demo", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["outcome"] == "FAIL"
