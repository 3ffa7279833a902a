"""What lies on disk as a model: one set of weights, whole, told apart by what stands in it and not by its bytes."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from unlearn_audit.api import Prompt
from unlearn_audit.errors import AuditError, IntegrityError
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import check_unchanged, resolve, same_model
from unlearn_audit.models.rendering import Renderer
from unlearn_audit.models.stored.gguf import gguf_extent
from unlearn_audit.models.stored.headers import read_header
from unlearn_audit.spec.spec import ModelOptions


@pytest.fixture
def checkpoint(saved_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_model, tmp_path / "model"))


@pytest.fixture
def sharded(checkpoint: Path, tmp_path: Path) -> Path:
    directory = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(checkpoint).save_pretrained(directory, max_shard_size="50KB")
    return directory


def rewrite(path: Path, change) -> None:
    weights = load_file(path)
    save_file(change(weights) or weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize("name", ["model_backup.safetensors", "old.safetensors", "model.fp16.safetensors"])
def test_a_second_set_of_weights_is_refused_with_both_names(checkpoint, name):
    shutil.copy(checkpoint / "model.safetensors", checkpoint / name)
    with pytest.raises(AuditError, match=rf"two sets of weights: model\.safetensors is.*{name} lies beside"):
        resolve(str(checkpoint))


def test_an_old_file_beside_new_shards_is_refused(checkpoint, sharded):
    shutil.copy(checkpoint / "model.safetensors", sharded)
    with pytest.raises(AuditError, match=r"two sets of weights: model\.safetensors.*index\.json"):
        resolve(str(sharded))


def test_a_shard_that_the_index_does_not_name_is_refused(sharded):
    shutil.copy(sorted(sharded.glob("*.safetensors"))[0], sharded / "model-00099-of-00099.safetensors")
    with pytest.raises(AuditError, match="00099-of-00099"):
        resolve(str(sharded))


def test_an_index_that_leaves_a_tensor_out_is_refused(sharded):
    index = sharded / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    files = list(content["weight_map"].values())
    gone = next(name for name, file in content["weight_map"].items() if files.count(file) > 1)
    del content["weight_map"][gone]
    index.write_text(json.dumps(content))
    with pytest.raises(AuditError, match=rf"says otherwise than the shards.*{gone}"):
        resolve(str(sharded))


@pytest.mark.parametrize("content", ["[]", '{"weight_map": []}', '{"weight_map": {"a": "../x.safetensors"}}', "{"])
def test_an_index_that_is_none_is_refused(checkpoint, content):
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "model.safetensors.index.json").write_text(content)
    with pytest.raises(AuditError, match=r"index\.json"):
        resolve(str(checkpoint))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "adapter_model.bin", "weights.pth", "consolidated.00.pth"])
def test_a_pickle_beside_safetensors_needs_leave_and_is_digested(checkpoint, name):
    plain = resolve(str(checkpoint))
    (checkpoint / name).write_bytes(b"anything")
    with pytest.raises(AuditError, match=rf"{name}.*--allow-pickle"):
        resolve(str(checkpoint))
    allowed = resolve(str(checkpoint), allow_pickle=True)
    assert allowed.weights_digest == plain.weights_digest
    (checkpoint / name).write_bytes(b"anything else")
    assert resolve(str(checkpoint), allow_pickle=True).digest != allowed.digest != plain.digest


@pytest.mark.parametrize("name", ["training_args.bin", "optimizer.pt", "rng_state_0.pth", "consolidated.safetensors"])
def test_what_training_leaves_and_no_loader_reads_is_no_second_set(checkpoint, name):
    plain = resolve(str(checkpoint))
    (checkpoint / name).write_bytes(b"anything")
    assert resolve(str(checkpoint)) == plain


def test_a_config_that_names_other_weights_is_refused(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "transformers_weights": "other.safetensors"}))
    with pytest.raises(AuditError, match="transformers_weights"):
        resolve(str(checkpoint))


def header(table: object, data: bytes = b"") -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        header(b"[]"),
        header({"a": {"dtype": "F32", "shape": [1]}}),
        header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, bytes(8)),
        header(
            {n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"},
            bytes(4),
        ),
        header(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            bytes(4),
        ),
        header(b"[" * 100_000),
        struct.pack("<Q", 2**62) + b"{}",
    ],
    ids=["list", "no offsets", "too few bytes", "before the data", "a gap", "overlap", "twice", "deep", "long"],
)
def test_a_damaged_header_is_refused_by_the_name_of_its_file(checkpoint, content):
    (checkpoint / "model.safetensors").write_bytes(content)
    with pytest.raises(AuditError, match=r"model\.safetensors"):
        resolve(str(checkpoint))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.booleans(), st.integers(0, 2**64 - 1))
def test_no_header_ends_in_another_error_than_ours(tmp_path_factory, text, whole, length):
    path = tmp_path_factory.mktemp("header") / "x.safetensors"
    path.write_bytes(header(text) if whole else struct.pack("<Q", length) + text)
    try:
        read_header(path)
    except AuditError as error:
        assert "x.safetensors" in str(error)


GGUF = b"GGUF" + struct.pack("<I", 3)


@pytest.mark.parametrize(
    "content",
    [
        GGUF + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 0, 2**40),
        GGUF + struct.pack("<QQ", 0, 2**60),
        GGUF + struct.pack("<QQ", 2**60, 0),
        GGUF + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 2**63),
        GGUF + struct.pack("<QQ", 1, 0) + struct.pack("<Q", 1) + b"a" + struct.pack("<IQIQ", 1, 2**60, 0, 0),
        b"",
        b"GGUF",
    ],
    ids=["array", "pairs", "tensors", "string", "shape", "empty", "no version"],
)
def test_a_gguf_file_that_promises_more_than_it_holds_is_refused(tmp_path, content):
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(AuditError, match=r"x\.gguf"):
        resolve(str(path))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120))
def test_no_gguf_file_ends_in_another_error_than_ours(tmp_path_factory, tail):
    path = tmp_path_factory.mktemp("gguf") / "x.gguf"
    path.write_bytes(GGUF + tail)
    try:
        gguf_extent(path)
    except AuditError as error:
        assert "x.gguf" in str(error)


def test_an_adapter_that_names_itself_is_refused(checkpoint, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(own)}))
    save_file({}, own / "adapter_model.safetensors")
    with pytest.raises(AuditError, match="name itself"):
        resolve(str(own))


def in_bfloat16(weights):
    return {name: value.bfloat16() for name, value in weights.items()}


def with_a_head(weights):
    return {**weights, "tied_head.weight": weights["model.embed_tokens.weight"].clone()}


def with_a_stray(weights):
    return {**weights, "stray": torch.zeros(3)}


def with_one_changed(weights):
    name = sorted(weights)[-1]
    weights[name].view(-1)[-1] += 0.5
    return weights


@pytest.mark.parametrize(
    ("change", "same"),
    [(in_bfloat16, True), (with_a_head, True), (with_a_stray, True), (with_one_changed, False)],
)
def test_a_model_saved_anew_is_the_same_and_one_that_differs_is_not(checkpoint, tmp_path, change, same):
    other = Path(shutil.copytree(checkpoint, tmp_path / "other"))
    rewrite(other / "model.safetensors", change)
    one, two = resolve(str(checkpoint)), resolve(str(other))
    assert one.weights_digest != two.weights_digest
    assert same_model(one, two) is same
    assert same_model(two, one) is same


@pytest.mark.parametrize(
    "change",
    [
        lambda at: rewrite(at / "model.safetensors", with_one_changed),
        lambda at: (at / "chat_template.jinja").write_text("{{ messages }}"),
        lambda at: (at / "generation_config.json").write_text("{}"),
        lambda at: (at / "config.json").unlink(),
        lambda at: shutil.copy(at / "model.safetensors", at / "backup.safetensors"),
        lambda at: (at / "pytorch_model.bin").write_bytes(b"anything"),
        lambda at: (at / "adapter_config.json").write_text("{}"),
        lambda at: (at / "modeling.py").write_text("pass"),
    ],
    ids=["weights", "template", "generation", "config gone", "second set", "pickle", "adapter", "code"],
)
def test_what_changes_in_a_checkpoint_is_seen(checkpoint, change):
    found = resolve(str(checkpoint))
    check_unchanged(found)
    change(checkpoint)
    with pytest.raises(IntegrityError, match="changed since the audit was planned"):
        check_unchanged(found)


def test_a_template_that_asks_for_today_writes_the_date_of_the_audit(saved_model):
    template = "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m.content }}{% endfor %}"
    tokenizer = AutoTokenizer.from_pretrained(saved_model)
    for day, text in ((dt.date(2024, 7, 26), "26 Jul 2024?"), (dt.date(2025, 1, 2), "02 Jan 2025?")):
        renderer = Renderer(tokenizer=tokenizer, chat_template=template, date=day)
        assert tokenizer.decode(renderer.prompt_ids(Prompt(text="?"))) == text


def test_a_model_with_weights_on_no_device_is_refused_and_a_spread_one_is_the_same_model(checkpoint):
    found, asked = resolve(str(checkpoint)), [Prompt(text="Who is Ada?")]
    with pytest.raises(AuditError, match=r"weights are on no device, .*; give more of them"):
        load(found, ModelOptions(device_map="meta"))
    whole, spread = (load(found, ModelOptions(device_map=device_map)) for device_map in (None, "auto"))
    assert whole.generate(asked, max_new_tokens=4) == spread.generate(asked, max_new_tokens=4)
