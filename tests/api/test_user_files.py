"""Files that users name: what is no regular file, too large or no plain text is refused at once, in words."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from unlearn_audit.api.user_files import (
    DEEPEST,
    LONGEST_LINE,
    parse_json,
    read_bytes,
    read_json,
    read_lines,
    read_text,
)
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.digests import sha256_file


@pytest.mark.parametrize(
    ("what", "words"),
    [("pipe", "a named pipe"), ("folder", "got a directory"), ("/dev/zero", "a device"), ("socket", "cannot be read")],
)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, what, words):
    path = tmp_path / what
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    begun = time.monotonic()
    with pytest.raises(SpecError, match=words) as caught:
        read_bytes(path)
    assert time.monotonic() - begun < 1
    assert str(path) in str(caught.value)


def test_a_link_to_a_file_is_read_and_a_link_to_a_device_is_not(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert read_text(tmp_path / "link") == "x"
    with pytest.raises(SpecError, match="a device"):
        read_text(tmp_path / "zero")


def test_a_digest_is_of_a_regular_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(SpecError, match="expected a regular file"):
            sha256_file(path)
    with pytest.raises(FileNotFoundError):
        sha256_file(tmp_path / "nothing")


def test_a_file_has_a_largest_size(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"12345678")
    assert read_bytes(tmp_path / "file", 8) == b"12345678"
    with pytest.raises(SpecError, match="expected at most 7 bytes, got 8 bytes"):
        read_bytes(tmp_path / "file", 7)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(SpecError, match="expected at most 64 MiB"):
        read_bytes(tmp_path / "sparse")


def test_a_line_has_a_largest_length(tmp_path: Path):
    (tmp_path / "file").write_text("a\n" + "b" * (LONGEST_LINE + 1))
    with pytest.raises(SpecError, match="line 2: expected at most"):
        read_lines(tmp_path / "file")


def test_text_is_utf_8_with_or_without_a_mark(tmp_path: Path):
    for content in ("ä\r\n".encode(), "ä\r\n".encode("utf-8-sig")):
        (tmp_path / "file").write_bytes(content)
        assert read_text(tmp_path / "file") == "ä\r\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x".encode("utf-16"), "got UTF-16"),
        ("x".encode("utf-16-be"), "expected JSON"),  # no mark: a null character
        ("ä".encode("latin-1"), "got the byte 0xe4 at position 0"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, content, words):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(SpecError, match=words):
        read_json(tmp_path / "file")


@pytest.mark.parametrize("path", ["no such file", "null\0character", "n" * 5000])
def test_a_path_that_is_none_is_one_sentence(path):
    with pytest.raises(SpecError, match="cannot be read"):
        read_text(Path(path))


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands twice"),
        ("[NaN]", "NaN is not a JSON number"),
        ("[-Infinity]", "not a JSON number"),
        (nested(DEEPEST + 1), "levels of nesting"),
        (nested(100_000), "levels of nesting"),
        ('"\\ud800"', "half of a surrogate pair"),
        ("9" * 5000, "expected JSON"),
        ("{", "expected JSON"),
    ],
)
def test_json_that_means_something_else_is_refused(text, words):
    with pytest.raises(SpecError, match=words) as caught:
        parse_json(text, "f.json, line 3")
    assert str(caught.value).startswith("f.json, line 3: ")


def test_json_that_is_sound_is_as_json_reads_it():
    text = '{"a": [1, 2.5, null, true, "\\u00e4\\ud83d\\ude00"], "b": {"a": {}}}'
    assert parse_json(text, "here") == json.loads(text)
    parse_json(nested(DEEPEST), "here")
