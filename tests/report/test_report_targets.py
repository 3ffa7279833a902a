"""Where `report -f` writes to, and writers of third parties: by the same door, and with the same errors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.api.test_plugins import entry
from tests.cli.test_cli import invoke as invoke
from tests.golden import sample
from unlearn_audit.api import plugins
from unlearn_audit.errors import SpecError
from unlearn_audit.report import Writer, render, write
from unlearn_audit.report.formats.json import load_result
from unlearn_audit.report.targets import parse_targets


class Shout(Writer):
    """A third party's writer."""

    name, summary, file_name = "shout", "The outcome, loud.", "shout.txt"

    def render(self, material):
        return f"{material.result.outcome}!\n"


@pytest.fixture
def installed(monkeypatch):
    points = list(plugins.entry_points(group=plugins.WRITERS))
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    return points


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run directory with a result and no evidence."""
    write(sample.failed(), tmp_path / "run", ["json"])
    return tmp_path / "run"


def test_a_third_partys_writer_comes_by_the_same_door(installed):
    installed.append(entry("shout", "tests.report.test_report_targets:Shout", "third-party", plugins.WRITERS))
    assert render(sample.failed(), "shout") == "FAIL!\n"


def test_a_broken_writer_is_refused_when_asked_for_and_harms_no_other(installed):
    installed.append(entry("shaky", "no_such_module:Writer", "third-party", plugins.WRITERS))
    installed.append(entry("no-writer", "unlearn_audit.attacks.as_is:AsIs", "third-party", plugins.WRITERS))
    with pytest.raises(SpecError, match=r"'shaky' of third-party is broken: .*no_such_module"):
        render(sample.failed(), "shaky")
    with pytest.raises(SpecError, match=r"'no-writer' of third-party is broken: .*is not a Writer"):
        render(sample.failed(), "no-writer")
    assert render(sample.failed(), "json").startswith("{")


def test_two_distributions_with_one_writer_are_both_named(installed):
    installed.append(entry("json", "somewhere:Else", "third-party", plugins.WRITERS))
    with pytest.raises(SpecError, match="unlearn-audit and third-party"):
        render(sample.failed(), "json")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (["sariff"], "--format: no writer named 'sariff'; did you mean 'sarif'? (known: csv, "),
        (["parquet"], "is binary and cannot go to stdout; name a file: -f parquet=observations.parquet"),
        (["md", "html"], "only one format can go to stdout, and md already does; name a file: -f html=report.html"),
        (["md="], "expected a file after the ="),
        (["md=nowhere/deep/x.md"], "nowhere/deep is not a directory"),
        (["md=x", "html=x"], "two formats cannot share the file x"),
    ],
)
def test_what_cannot_be_written_is_one_message_and_exit_2(finished: Path, invoke, wanted, words):
    code, out, err = invoke("report", finished, *(part for each in wanted for part in ("-f", each)))
    assert code == 2 and out == ""
    assert err.startswith("error: ") and words in err and len(err.splitlines()) == 1


def test_several_formats_at_once(finished: Path, tmp_path: Path, invoke):
    files = [tmp_path / "out.xml", tmp_path / "s.sarif"]
    (tmp_path / "all").mkdir()
    formats = ["md", f"junit={files[0]}", f"sarif={files[1]}", f"html={tmp_path / 'all'}"]
    code, out, err = invoke("report", finished, *(part for each in formats for part in ("-f", each)))
    assert code == 0 and err == ""
    result = load_result(finished / "result.json")
    assert out == render(result, "md")
    assert [file.read_text() for file in files] == [render(result, "junit"), render(result, "sarif")]
    assert (tmp_path / "all" / "report.html").is_file()


def test_nothing_is_written_where_one_of_them_fails(finished: Path, tmp_path: Path, invoke):
    target = tmp_path / "report.md"
    code, out, err = invoke("report", finished, "-f", f"md={target}", "-f", f"csv={tmp_path / 'o.csv'}")
    assert code == 5 and out == ""
    assert "is not the cell" in err or "cannot be read" in err or "evidence is not what" in err
    assert not target.exists()


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "/dev/null", "/dev/stdout"])
def test_what_is_no_regular_file_is_neither_followed_nor_replaced(finished: Path, tmp_path: Path, invoke, kind):
    path = tmp_path / kind
    (tmp_path / "target").write_text("kept")
    if kind == "pipe":
        os.mkfifo(path)
    elif "link" in kind:
        path.symlink_to("target" if kind == "link" else "nowhere")
    before = path.lstat()
    code, out, err = invoke("report", finished, "-f", f"json={tmp_path / 'first.json'}", "-f", f"md={path}")
    assert (code, out) == (2, "")
    assert "name another file" in err
    assert (path.lstat().st_mode, path.lstat().st_ino) == (before.st_mode, before.st_ino)
    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "first.json").exists() and not (tmp_path / "nowhere").exists()


def test_a_file_name_may_hold_an_equals_sign(tmp_path: Path):
    targets = parse_targets([f"md={tmp_path}/a=b.md"])
    assert targets.screen is None and targets.files[0][1].name == "a=b.md"


def test_writers_are_listed(invoke):
    code, out, _ = invoke("list", "writers")
    assert code == 0
    assert "observations" in out and "every-eval-ever" in out and "broken" not in out
