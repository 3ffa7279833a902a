"""YAML of users: each key once, no bombs, and every fault with its file and line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from unlearn_audit.errors import SpecError
from unlearn_audit.spec.spec import load_policy, load_spec, load_waivers
from unlearn_audit.spec.yaml_files import MOST_VALUES, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: expected valid YAML: the key 'a' stands twice"),
        ("a: {b: 1, c: 2, b: 1}\n", "line 1: .*the key 'b' stands twice"),
        ("a:\n- b: 1\n  b: 1\n", "line 3: .*the key 'b' stands twice"),
        ('a: 1\n"a": 2\n', "the key 'a' stands twice"),
        ("a: &x {k: 1, k: 2}\nb: *x\n", "the key 'k' stands twice"),
        (BOMB, f"line 5: .*at most {MOST_VALUES} values"),
        ("a: &a [*a]\n", "line 1: .*the alias .a names nothing"),
        ("a: *b\n", "the alias .b names nothing"),
        ("a: " + "[" * 100_000, "levels of nesting"),
        ("a: " + "{a: " * 30_000, "levels of nesting"),
        ("a:\n" + "".join(f"{' ' * depth}b:\n" for depth in range(1, 300)), "levels of nesting"),
        ("a: [" + "1," * MOST_VALUES + "]", f"at most {MOST_VALUES} values"),
        ("a: 2020-99-99\n", "expected valid YAML"),
        ("on: 1\n", "expected names as keys, got True; write it in quotes"),
        ("a: {1: 2}\n", "expected names as keys, got 1"),
        ("? [a]\n: 1\n", "expected"),
        ("a: !!python/object:os.system x\n", "expected valid YAML"),
        ("a: 1\n--- \nb: 2\n", "expected valid YAML"),
        ("[1]", "expected a mapping"),
        ("", "expected a mapping"),
        ("a: \x00\n", "expected valid YAML"),
        ("%YAML 9.9\n---\na: 1", "expected valid YAML"),
    ],
)
def test_what_is_wrong_is_named_at_once(tmp_path: Path, text, words):
    path = tmp_path / "file.yaml"
    path.write_text(text)
    begun = time.monotonic()
    with pytest.raises(SpecError, match=words) as caught:
        read_yaml(path)
    assert time.monotonic() - begun < 3
    assert str(path) in str(caught.value)


def test_a_key_may_override_a_merged_one_and_aliases_may_be_used(tmp_path: Path):
    path = tmp_path / "file.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nown:\n  <<: *base\n  a: 3\nlist: [*base, *base]\n")
    assert read_yaml(path) == {
        "base": {"a": 1, "b": 2},
        "own": {"a": 3, "b": 2},
        "list": [{"a": 1, "b": 2}, {"a": 1, "b": 2}],
    }


@pytest.mark.parametrize("load", [lambda path: load_spec(path, {}), load_policy, load_waivers])
def test_every_kind_of_file_is_read_so(tmp_path: Path, load):
    path = tmp_path / "file.yaml"
    path.write_text("margin: 0.1\nmargin: 0.2\n")
    with pytest.raises(SpecError, match=r"file.yaml, line 2: .*'margin' stands twice"):
        load(path)
    path.write_bytes("margin: 0.1\n".encode("utf-16"))
    with pytest.raises(SpecError, match="got UTF-16"):
        load(path)


def test_a_policy_beside_a_spec_is_read_so(tmp_path: Path):
    (tmp_path / "policy.yaml").write_text("margin: 0.1\nmargin: 0.2\n")
    (tmp_path / "audit.yaml").write_text("checkpoint: a\nforget: b\npolicy: policy.yaml\n")
    with pytest.raises(SpecError, match=r"policy.yaml, line 2"):
        load_spec(tmp_path / "audit.yaml", {})
