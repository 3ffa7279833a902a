"""The spec: flags override the file, and what is wrong with it is named with line and remedy."""

from __future__ import annotations

import pytest
import yaml

from unlearn_audit.cli.commands.init import write_templates
from unlearn_audit.errors import SpecError
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.spec.spec import AuditSpec, load_policy, load_spec


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_override_the_file(tmp_path):
    path = write(
        tmp_path / "a.yaml", "checkpoint: m\nforget: f.jsonl\nseed: 3\nmodels: {dtype: float16, device: cpu}\n"
    )
    spec = load_spec(path, {"seed": 5, "models": {"dtype": "float32"}, "release": None})
    assert (spec.seed, spec.models.dtype, spec.models.device) == (5, "float32", "cpu")


def test_paths_in_a_spec_are_beside_it(tmp_path):
    (tmp_path / "f.jsonl").touch()
    (tmp_path / "control").mkdir()
    path = write(tmp_path / "a.yaml", "checkpoint: owner/name\nforget: f.jsonl\nretrained: control\n")
    spec = load_spec(path, {})
    assert spec.forget == str(tmp_path / "f.jsonl")
    assert spec.retrained == (str(tmp_path / "control"),)
    assert spec.checkpoint == "owner/name"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("checkpoint: m\nforgte: f\n", r"a\.yaml, line 2: unknown key 'forgte'; did you mean 'forget'"),
        ("checkpoint: m\n", r"a\.yaml: 'forget' is required"),
        ("checkpoint: m\nforget: f\nrelease: everyone\n", r"line 3: 'release'.*api"),
        ("checkpoint: m\nforget: f\nmodels: {dtypo: x}\n", r"unknown key 'models\.dtypo'; did you mean 'dtype'"),
        ("checkpoint: m\nforget: [1\n", r"a\.yaml, line 3: expected valid YAML"),
        ("- a\n", "expected a mapping"),
        ("checkpoint: m\nforget: f\npolicy: {margin: 2}\n", r"'policy\.margin'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(SpecError, match=message):
        load_spec(write(tmp_path / "a.yaml", text), {})


def test_a_policy_file_is_checked_where_it_stands(tmp_path):
    write(tmp_path / "p.yaml", "margin: 0.05\nalhpa: 0.1\n")
    with pytest.raises(SpecError, match=r"p\.yaml, line 2: unknown key 'alhpa'; did you mean 'alpha_pass'"):
        load_policy(tmp_path / "p.yaml")
    path = write(tmp_path / "a.yaml", "checkpoint: m\nforget: f\npolicy: p.yaml\n")
    with pytest.raises(SpecError, match=r"p\.yaml, line 2"):
        load_spec(path, {})


def test_the_written_templates_are_valid_and_hold_the_defaults(tmp_path):
    write_templates(tmp_path, force=False)
    assert load_policy(tmp_path / "policy.yaml") == Policy()
    spec = load_spec(tmp_path / "audit.yaml", {})
    assert spec.release is Release.OPEN_WEIGHTS
    text = (tmp_path / "audit.yaml").read_text()
    assert all(f"{key}:" in text for key in AuditSpec.model_fields)
    with pytest.raises(SpecError, match="--force"):
        write_templates(tmp_path, force=False)


def test_the_resolved_spec_gives_the_same_spec(tmp_path):
    spec = AuditSpec(checkpoint="m", forget="f", attacks=["as-is", "quantization"], policy=Policy(margin=0.05))
    path = write(tmp_path / "spec.yaml", spec.as_yaml())
    assert load_spec(path, {}) == spec
    assert AuditSpec.model_validate(yaml.safe_load(spec.as_yaml())).digest() == spec.digest()
