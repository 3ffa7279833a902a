"""Several checkpoints in one request: an ordinary audit each, in a folder whose name nobody can abuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from unlearn_audit.errors import SpecError
from unlearn_audit.spec.several import folder_names, requests
from unlearn_audit.spec.spec import AuditSpec, load_spec

FLAGS = {"forget": "f.jsonl", "retrained": ["a/r1", "a/r2", "a/r3"]}


def spec_of(**fields: object) -> AuditSpec:
    return load_spec(None, {**FLAGS, **fields})


def test_each_checkpoint_is_asked_for_as_if_alone() -> None:
    asked = requests(spec_of(checkpoints=["m/npo", "m/gd"], seed=3))
    assert {name: one.checkpoint for name, one in asked.items()} == {"npo": "m/npo", "gd": "m/gd"}
    alone = spec_of(checkpoint="m/gd", seed=3)
    assert asked["gd"] == alone and asked["gd"].digest() == alone.digest() and asked["gd"].as_yaml() == alone.as_yaml()
    assert requests(alone) == {"gd": alone}


def test_a_file_may_name_several_and_flags_override_them(tmp_path: Path) -> None:
    (tmp_path / "npo").mkdir()
    path = tmp_path / "audit.yaml"
    path.write_text("checkpoints: [npo, owner/other]\nforget: f.jsonl\n")
    found = load_spec(path, {})
    assert [Path(one.checkpoint).name for one in found.each()] == ["npo", "other"]
    assert Path(found.each()[0].checkpoint).is_dir()  # beside the file
    assert [one.checkpoint for one in load_spec(path, {"checkpoints": ["mine"]}).each()] == ["mine"]
    path.write_text("checkpoints: [npo]\ncheckpoint: other\nforget: f.jsonl\n")
    with pytest.raises(SpecError, match="`checkpoint` or `checkpoints`, got both"):
        load_spec(path, {})
    path.write_text("forget: f.jsonl\n")
    with pytest.raises(SpecError, match="'checkpoint' is required"):
        load_spec(path, {})


def test_the_schema_takes_one_or_several() -> None:
    schema = Draft202012Validator(AuditSpec.model_json_schema())
    assert schema.is_valid({"checkpoint": "x", "forget": "f"})
    assert schema.is_valid({"checkpoints": ["x", "y"], "forget": "f"})
    assert not schema.is_valid({"forget": "f"})


def test_each_control_takes_the_checkpoints_place_and_is_no_control_of_itself() -> None:
    asked = requests(spec_of(checkpoints=["m/npo"], served=["x.gguf"]), leave_one_control_out=True)
    assert list(asked) == ["npo", "r1", "r2", "r3"]
    assert asked["npo"].retrained == ("a/r1", "a/r2", "a/r3") and asked["npo"].served == ("x.gguf",)
    assert (asked["r2"].checkpoint, asked["r2"].retrained, asked["r2"].served) == ("a/r2", ("a/r1", "a/r3"), ())
    with pytest.raises(SpecError, match=r"expected 2 or more --retrained models, got 1"):
        requests(spec_of(checkpoint="m/npo", retrained=["a/r1"]), leave_one_control_out=True)
    with pytest.raises(SpecError, match="named twice"):
        requests(spec_of(checkpoints=["m/npo", "m/npo"]))


@pytest.mark.parametrize(
    ("references", "names"),
    [
        (["m/npo/final", "m/gd/final", "m/x"], ["npo-final", "gd-final", "x"]),
        (["a@main", "owner/a@v2"], ["a-main", "a-v2"]),
        (["a", "./a"], ["a", "a-2"]),
        (["..", "/", "../.."], ["audit", "audit-2", "audit-3"]),
        (["x/\x1b[31mred", "x/a b\n", ".hidden"], ["31mred", "a-b", "hidden"]),
        (["n" * 300], ["n" * 80]),
    ],
)
def test_folders_are_named_after_checkpoints_and_stay_where_they_belong(references, names) -> None:
    found = folder_names(references)
    assert found == names
    assert len(set(found)) == len(found) and all(Path(name).name == name for name in found)
