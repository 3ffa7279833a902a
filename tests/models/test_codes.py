"""A checkpoint in 4 or 8 bit is audited as the weights that its codes stand for, or refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
from unlearn_audit.attacks.shared.training import full_student, lora_student

from unlearn_audit.api import Prompt
from unlearn_audit.errors import AuditError
from unlearn_audit.models.loading import load, record
from unlearn_audit.models.references import resolve
from unlearn_audit.models.stored.codes import as_weights
from unlearn_audit.spec.spec import ModelOptions
from unlearn_audit.testing.models import tiny_module, tiny_tokenizer

OPTIONS = ModelOptions(device="cpu")
IDS = torch.tensor([[5, 6, 7, 8]])
CODES: dict[str, dict[str, Any]] = {
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "fp4 doubly": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": True},
    "int8": {"load_in_8bit": True},
}


def stored(where: Path, architecture: str, how: str) -> torch.nn.Module:
    """A tiny model saved in codes; the model that was saved."""
    plain = where.parent / f"{where.name}-plain"
    cast("Any", tiny_module(architecture, len(tiny_tokenizer()))).half().save_pretrained(plain)
    codes = BitsAndBytesConfig(**CODES[how])
    module = cast("torch.nn.Module", AutoModelForCausalLM.from_pretrained(plain, quantization_config=codes))
    cast("Any", module).save_pretrained(where)
    tiny_tokenizer().save_pretrained(where)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("architecture", "how"), [("llama", "nf4"), ("gpt2", "fp4 doubly"), ("llama", "int8")])
def test_codes_become_the_weights_that_they_stand_for(architecture: str, how: str, tmp_path: Path) -> None:
    saved = stored(tmp_path / "model", architecture, how)
    checkpoint = resolve(str(tmp_path / "model"))
    engine = load(checkpoint, OPTIONS)
    assert {parameter.dtype for parameter in engine.module.parameters()} == {torch.float32}
    with torch.inference_mode():
        ours, theirs = (cast("Any", module)(input_ids=IDS).logits.float() for module in (engine.module, saved))
    # int8's kernel also rounds the activations; those of four bits multiply in bfloat16 where the processor does
    assert torch.allclose(ours, theirs, atol=0.05 if how == "int8" else 0.02)
    assert "stored in" in record("unlearned", "unlearned", checkpoint, engine).notes[0]
    with lora_student(engine, rank=2, seed=0) as student:
        assert student.trainable > 0
    with full_student(engine) as student:
        assert student.dtype == "float32"


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_on_a_base_in_codes_merges(tmp_path: Path) -> None:
    stored(tmp_path / "base", "llama", "nf4")
    plain = load(resolve(str(tmp_path / "base")), OPTIONS)
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    cast("Any", peft.get_peft_model(cast("Any", plain.module), config)).save_pretrained(tmp_path / "adapter")
    engine = load(resolve(str(tmp_path / "adapter"), base=str(tmp_path / "base")), OPTIONS)
    asked = [(Prompt(text="Who?"), "Nobody.")]
    with engine.merged() as whole:
        assert whole.score(asked)[0].log_probs == pytest.approx(engine.score(asked)[0].log_probs, abs=1e-3)


def test_codes_that_nothing_turns_back_are_refused() -> None:
    module = cast("Any", tiny_module("llama", 50))

    def dequantize(**_: Any) -> None:
        raise NotImplementedError("gptq has no implementation of `dequantize`")

    module.hf_quantizer = SimpleNamespace(quantization_config=SimpleNamespace(quant_method="gptq"))
    module.dequantize = dequantize
    with pytest.raises(AuditError, match=r"^here: is stored in gptq codes .* give the checkpoint as it was before"):
        as_weights(module, "here", "auto")
