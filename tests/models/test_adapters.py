"""Each kind of PEFT adapter works under merging, removal and training, or is refused in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from unlearn_audit.attacks.merging.adapter_removal import _without_adapter
from unlearn_audit.attacks.shared.training import lora_student

from unlearn_audit.api import Prompt
from unlearn_audit.errors import AuditError
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import resolve
from unlearn_audit.spec.spec import ModelOptions
from unlearn_audit.testing.models import tiny_module, tiny_tokenizer

OPTIONS = ModelOptions(device="cpu")
ROWS = len(tiny_tokenizer())
Q = ["q_proj", "v_proj"]
LORA: dict[str, Any] = {"r": 2, "task_type": "CAUSAL_LM"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny llama with tied embeddings, on disk."""
    where = tmp_path_factory.mktemp("base")
    module = cast("Any", tiny_module("llama", ROWS))
    module.config.tie_word_embeddings = True
    module.tie_weights()
    module.save_pretrained(where)
    tiny_tokenizer().save_pretrained(where)
    return where


def saved(
    where: Path, config: peft.PeftConfig, base: Path, *, below: str | None = None, rows: int = ROWS, scale: float = 0.2
) -> Path:
    """A random adapter of a kind, none of it at its initial value."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base)
    if rows != ROWS:
        model.resize_token_embeddings(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = cast("Any", peft.get_peft_model(model, config))
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.data += scale * torch.randn_like(parameter)
        adapted.save_pretrained(where)
    settings = where / "adapter_config.json"
    held = json.loads(settings.read_text())
    settings.write_text(json.dumps({**held, "base_model_name_or_path": below or str(base)}))
    return where


def rename(where: Path, change: Callable[[dict[str, torch.Tensor]], Mapping[str, torch.Tensor]]) -> None:
    """Writes the adapter's file again with other names."""
    file = where / "adapter_model.safetensors"
    save_file(dict(change(load_file(file))), file, metadata={"format": "pt"})


KINDS: dict[str, peft.PeftConfig] = {
    "lora": peft.LoraConfig(target_modules="all-linear", **LORA),
    "rslora": peft.LoraConfig(target_modules=Q, use_rslora=True, **LORA),
    "dora": peft.LoraConfig(target_modules=Q, use_dora=True, **LORA),
    "embeddings": peft.LoraConfig(target_modules=["embed_tokens", "q_proj"], **LORA),
    "head": peft.LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"], **LORA),
    "tokens": peft.LoraConfig(target_modules=["q_proj"], trainable_token_indices=[3, 4], **LORA),
    "ia3": peft.IA3Config(target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "loha": peft.LoHaConfig(r=2, target_modules=Q),
    "lokr": peft.LoKrConfig(r=2, target_modules=Q),
    "oft": peft.OFTConfig(r=0, oft_block_size=16, target_modules=Q),
    "vera": peft.VeraConfig(r=2, target_modules=["q_proj"]),
    "norms": peft.LNTuningConfig(target_modules=["input_layernorm"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_merges_comes_off_and_is_trained(kind: str, base: Path, tmp_path: Path) -> None:
    where = saved(tmp_path / kind, KINDS[kind], base)
    engine = load(resolve(str(where)), OPTIONS)
    plain = load(resolve(str(base)), OPTIONS)
    asked = [(Prompt(text="Who wrote Middlemarch?"), "George Eliot.")]
    before = engine.score(asked)[0].log_probs
    assert max(abs(a - b) for a, b in zip(before, plain.score(asked)[0].log_probs, strict=True)) > 1e-3
    with engine.merged() as whole:
        assert whole.score(asked)[0].log_probs == pytest.approx(before, abs=1e-3)
    with _without_adapter(engine, 1.0) as (bare, moved):
        assert moved > 0
        assert bare.score(asked)[0].log_probs == pytest.approx(plain.score(asked)[0].log_probs, abs=1e-4)
    with lora_student(engine, rank=2, seed=0) as student:
        assert student.trainable > 0
        assert student.model.score(asked)[0].log_probs == pytest.approx(before, abs=1e-3)


def test_an_adapter_on_an_adapter_is_both_merged(base: Path, tmp_path: Path) -> None:
    first = saved(tmp_path / "first", KINDS["lora"], base)
    second = saved(tmp_path / "second", KINDS["rslora"], base, below=str(first))
    asked = [(Prompt(text="Who wrote Middlemarch?"), "George Eliot.")]
    by_hand = AutoModelForCausalLM.from_pretrained(base)
    for where in (first, second):
        by_hand = cast("Any", peft.PeftModel.from_pretrained(by_hand, str(where))).merge_and_unload()
    engine = load(resolve(str(second)), OPTIONS)
    wanted = engine.with_module(by_hand).score(asked)[0].log_probs
    assert engine.score(asked)[0].log_probs == pytest.approx(wanted, abs=1e-3)
    with lora_student(engine, rank=2, seed=0) as student:
        assert student.trainable > 0


@pytest.mark.parametrize(
    "config",
    [
        peft.LoraConfig(target_modules=["q_proj"], modules_to_save=["embed_tokens"], **LORA),
        peft.LoraConfig(target_modules=["q_proj"], trainable_token_indices=[ROWS, ROWS + 1], **LORA),
        peft.LoraConfig(target_modules=["q_proj", "embed_tokens"], **LORA),
    ],
    ids=["saved whole", "token rows", "lora"],
)
def test_added_tokens_bring_their_rows(config: peft.PeftConfig, base: Path, tmp_path: Path) -> None:
    where = saved(tmp_path / "adapter", config, base, rows=ROWS + 2)
    engine = load(resolve(str(where)), OPTIONS)
    assert cast("Any", engine.module).get_input_embeddings().weight.shape[0] == ROWS + 2
    with engine.merged() as whole:
        assert cast("Any", whole.module).get_output_embeddings().weight.shape[0] == ROWS + 2


def without(part: str) -> Callable[[dict[str, torch.Tensor]], Mapping[str, torch.Tensor]]:
    return lambda held: {name: tensor for name, tensor in held.items() if part not in name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: {f"_orig_mod.{name}": one for name, one in held.items()}, "compiled model"),
        (lambda held: {name.replace("base_model.model.", ""): one for name, one in held.items()}, "match nothing"),
        (lambda held: {name.replace("layers.1", "layers.7"): one for name, one in held.items()}, "layers.7"),
        (lambda held: {**held, "base_model.model.extra.weight": torch.ones(2)}, "extra.weight"),
        (without("lora_B"), "initial values"),
        (without("layers.1"), "initial values"),
        (lambda held: {name: torch.cat([one, one]) for name, one in held.items()}, "cannot be put on its base"),
    ],
    ids=["compiled", "prefix", "layer", "extra", "half", "part", "shape"],
)
def test_a_file_that_does_not_match_is_refused_by_name(
    change: Callable[[dict[str, torch.Tensor]], Mapping[str, torch.Tensor]], said: str, base: Path, tmp_path: Path
) -> None:
    where = saved(tmp_path / "adapter", KINDS["rslora"], base)
    rename(where, change)
    with pytest.raises(AuditError, match=said) as caught:
        load(resolve(str(where)), OPTIONS)
    assert str(where) in str(caught.value)


def test_rows_that_nothing_fills_are_refused_with_both_sizes(base: Path, tmp_path: Path) -> None:
    config = peft.LoraConfig(target_modules=["q_proj"], modules_to_save=["embed_tokens"], **LORA)
    untied = tmp_path / "untied"
    cast("Any", tiny_module("llama", ROWS)).save_pretrained(untied)
    tiny_tokenizer().save_pretrained(untied)
    where = saved(tmp_path / "adapter", config, untied, rows=ROWS + 2)
    rename(where, without("lm_head"))
    with pytest.raises(AuditError, match=f"lm_head has {ROWS} rows.* {ROWS + 2}"):
        load(resolve(str(where)), OPTIONS)


PROMPTS: dict[str, dict[str, Any]] = {
    "prompt tuning": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 8, "task_type": "CAUSAL_LM"},
    "prefix tuning": {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 8, "task_type": "CAUSAL_LM"},
    "classifier": {"peft_type": "LORA", "task_type": "SEQ_CLS"},
}


@pytest.mark.parametrize("kind", PROMPTS)
def test_what_is_no_change_of_weights_is_refused_before_anything_loads(kind: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({**PROMPTS[kind], "base_model_name_or_path": "x"}))
    with pytest.raises(AuditError, match=r"is a trained prompt|is an adapter for the task SEQ_CLS"):
        resolve(str(tmp_path))


LOADED = """
import sys, torch
compile_ = torch.compile
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import resolve
from unlearn_audit.spec.spec import ModelOptions
load(resolve(sys.argv[1]), ModelOptions(device="cpu"))
import bitsandbytes, peft
assert torch.compile is compile_
assert "torch._inductor.compile_fx" not in sys.modules
"""


@pytest.mark.slow
def test_what_adapters_need_is_loaded_without_torchs_compiler(base):
    done = subprocess.run([sys.executable, "-c", LOADED, str(base)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
