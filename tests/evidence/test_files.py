"""Files that are written: whole or not at all, for their owner alone, and over nothing that is no regular file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from unlearn_audit.cli.telling.event_log import event_log
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.files import open_to_append, write_bytes, write_json, write_text
from unlearn_audit.run.isolation import log_traceback, masked, masking


def append(path: Path) -> None:
    with open_to_append(path) as file:
        file.write(b"more")


def log(path: Path) -> None:
    with event_log(path):
        pass


WRITERS = [lambda path: write_bytes(path, b"x"), lambda path: write_text(path, "x"), lambda path: write_json(path, {})]


@pytest.mark.parametrize("write", [*WRITERS, append, log], ids=["bytes", "text", "json", "append", "log"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "/dev/zero"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, write, kind):
    path = tmp_path / kind
    (tmp_path / "target").write_text("kept")
    if kind == "link":
        path.symlink_to("target")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(SpecError, match="expected the name of a new or regular file, got a "):
        write(path)
    assert (tmp_path / "target").read_text() == "kept"


@pytest.mark.parametrize("write", [*WRITERS, append], ids=["bytes", "text", "json", "append"])
def test_a_file_is_for_its_owner_alone(tmp_path: Path, write):
    before = os.umask(0)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_what_is_appended_stands_at_the_end(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"some ")
    append(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"some more"


def test_an_error_log_holds_what_the_mask_leaves(tmp_path: Path):
    with masking(lambda text: text.replace("secret", "-")):
        try:
            raise ValueError("the secret \ud800")
        except ValueError:
            log_traceback(tmp_path, "a job about a secret")
        assert masked("secret") == "-"
    assert masked("secret") == "secret"
    told = (tmp_path / "errors.log").read_text()
    assert "ValueError: the - " in told
    assert "a job about a -" in told
