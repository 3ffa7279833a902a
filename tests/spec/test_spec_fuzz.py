"""Specs, policies and waivers of any content: read, or refused in words."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzzing import AMOUNTS, damaged, refused_or_read, values
from unlearn_audit.spec.policy import Policy, Rule
from unlearn_audit.spec.spec import AuditSpec, JudgeOptions, ModelOptions, load_policy, load_spec, load_waivers
from unlearn_audit.spec.waivers import Waiver, Waivers

SPEC = b"""\
checkpoint: model
original: base
retrained: [one, two]
forget: tofu:forget.jsonl
columns: {answer: target}
attacks: [none, {noise: {}}]
judge: entailment=judge
models: {dtype: auto}
policy:
  margin: 0.1
  rules: [{id: a, findings: "*", alpha: 0.01}]
"""
POLICY = b"margin: 0.1\nalpha: 0.05\ngate: [recall]\nrules:\n- {id: strict, findings: 'noise,-suffix', margin: 0.05}\n"
WAIVERS = (
    f"waivers:\n- finding: utility\n  model: {'a' * 64}\n  reason: r\n  owner: o\n  expires: 2030-01-01\n".encode()
)

KEYS = {
    "spec": (*AuditSpec.model_fields, *ModelOptions.model_fields, *JudgeOptions.model_fields),
    "policy": (*Policy.model_fields, *Rule.model_fields, "api"),
    "waivers": (*Waivers.model_fields, *Waiver.model_fields),
}


def load(path):
    """A spec, with all that is made of it before any other file is read."""
    spec = load_spec(path, {"models": {"dtype": "float32"}})
    spec.digest()
    spec.as_yaml().encode()


READERS = {
    "spec": (load, SPEC),
    "policy": (lambda path: load_policy(path).digest(), POLICY),
    "waivers": (load_waivers, WAIVERS),
}


@pytest.mark.parametrize("kind", READERS)
@AMOUNTS
def test_a_damaged_file(tmp_path, kind, amount):
    read, sound = READERS[kind]

    @amount
    @given(damaged(sound))
    def check(content):
        refused_or_read(read, tmp_path / "file.yaml", content)

    check()


@pytest.mark.parametrize("kind", READERS)
@AMOUNTS
def test_other_values_under_the_right_keys(tmp_path, kind, amount):
    read, _ = READERS[kind]
    keys = KEYS[kind]

    @amount
    @given(st.dictionaries(st.sampled_from(keys), values(keys), max_size=6), st.booleans())
    def check(content, as_json):
        text = json.dumps(content) if as_json else yaml.dump(content, allow_unicode=True)
        refused_or_read(read, tmp_path / "file.yaml", text.encode("utf-8", "surrogatepass"))

    check()


@pytest.mark.parametrize("kind", READERS)
def test_what_is_damaged_was_sound(tmp_path, kind):
    read, sound = READERS[kind]
    (tmp_path / "file.yaml").write_bytes(sound.replace(b"none, {noise: {}}", b"as-is, noise"))
    read(tmp_path / "file.yaml")
