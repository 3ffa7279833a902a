"""Checkpoints on disk: found, checked to the last byte, and told apart by their weights."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from unlearn_audit.api import Prompt
from unlearn_audit.errors import AuditError
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import Storage, resolve
from unlearn_audit.spec.spec import ModelOptions


@pytest.fixture
def checkpoint(saved_model, tmp_path):
    return shutil.copytree(saved_model, tmp_path / "model")


def test_the_same_weights_in_other_shards_are_the_same_model(checkpoint, tmp_path):
    whole = resolve(str(checkpoint))
    shards = tmp_path / "shards"
    AutoModelForCausalLM.from_pretrained(checkpoint).save_pretrained(shards, max_shard_size="50KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    assert resolve(str(shards)).weights_digest == whole.weights_digest
    assert resolve(str(shards)).extent == whole.extent


def test_one_changed_weight_is_another_model(checkpoint):
    before = resolve(str(checkpoint))
    weights = load_file(checkpoint / "model.safetensors")
    name = sorted(weights)[0]
    weights[name].view(-1)[0] += 1e-3
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    after = resolve(str(checkpoint))
    assert after.weights_digest != before.weights_digest
    assert after.digest != before.digest


def test_another_chat_template_is_another_digest_of_the_same_weights(checkpoint):
    before = resolve(str(checkpoint))
    (checkpoint / "chat_template.jinja").write_text("{{ messages[0].content }}")
    after = resolve(str(checkpoint))
    assert after.weights_digest == before.weights_digest
    assert after.digest != before.digest


@pytest.mark.parametrize("cut", [4, 200, -1])
def test_a_truncated_file_is_refused_by_name(checkpoint, cut):
    path = checkpoint / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:cut])
    with pytest.raises(AuditError, match=r"model\.safetensors.*fetch"):
        resolve(str(checkpoint))


def test_weights_that_are_absent_are_an_error_and_not_random(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AuditError, match=r"absent.*up_proj"):
        load(resolve(str(checkpoint)), ModelOptions(device="cpu"))


def test_pickled_weights_are_refused_unless_asked_for(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    torch.save(weights, checkpoint / "pytorch_model.bin")
    with pytest.raises(AuditError, match="--allow-pickle"):
        resolve(str(checkpoint))
    assert resolve(str(checkpoint), allow_pickle=True).weights_digest


@pytest.mark.parametrize(
    ("reference", "message"),
    [("./absent", "no such file or directory"), ("nobody/nothing-of-the-kind", "--download"), ("a/b/c", "no such")],
)
def test_what_is_not_there_is_said(reference, message):
    with pytest.raises(AuditError, match=message):
        resolve(reference)


def test_a_directory_without_a_model_is_named(tmp_path):
    with pytest.raises(AuditError, match=r"expected config\.json"):
        resolve(str(tmp_path))


def test_an_adapter_finds_its_base_or_is_given_one(checkpoint, tmp_path):
    from peft import LoraConfig, get_peft_model

    module = AutoModelForCausalLM.from_pretrained(checkpoint)
    adapted = get_peft_model(module, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    found = resolve(str(tmp_path / "adapter"))
    assert found.storage is Storage.ADAPTER
    assert found.base is not None
    assert found.base.digest == resolve(str(checkpoint)).digest
    engine = load(found, ModelOptions(device="cpu"))
    assert engine.is_adapter
    pair = [(Prompt(text="Who?"), "Eliot")]
    with engine.merged() as merged:
        assert not merged.is_adapter
        assert merged.score(pair)[0].log_probs == pytest.approx(engine.score(pair)[0].log_probs, abs=1e-4)
    plain = load(resolve(str(checkpoint)), ModelOptions(device="cpu"))
    assert plain.score(pair)[0].log_probs != pytest.approx(engine.score(pair)[0].log_probs, abs=1e-2)

    config = tmp_path / "adapter" / "adapter_config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps({**settings, "base_model_name_or_path": "./gone"}))
    with pytest.raises(AuditError, match="--base"):
        resolve(str(tmp_path / "adapter"))
    assert resolve(str(tmp_path / "adapter"), base=str(checkpoint)).base is not None
