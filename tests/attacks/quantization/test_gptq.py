"""GPTQ and AWQ for real, through GPTQModel, on a tiny model: proven, the library's function, nothing left behind.

Each run takes half a minute of one core. GPTQModel is not imported here, for the reason that its worker gives.
"""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from unlearn_audit.attacks.quantization.attack import Quantization, QuantizationParameters
from unlearn_audit.attacks.quantization.layers import gptq
from unlearn_audit.attacks.quantization.layers.gptq import GptqSettings, quantize_with_gptq

from unlearn_audit.api import Arm, AttackContext, Dose, Fact, Profile
from unlearn_audit.errors import AttackError
from unlearn_audit.models.engine import Budget, Engine
from unlearn_audit.models.rendering import Renderer

needs_gptq = pytest.mark.gptq
TOKEN_IDS = torch.arange(3, 27).reshape(2, 12)

# GPTQModel's own forward pass of the checkpoint that the attack left on disk, for comparison.
REFERENCE = """
import json, sys, torch
from gptqmodel import BACKEND, GPTQModel
from safetensors.torch import save_file
model = GPTQModel.load(sys.argv[1], device="cpu", backend=BACKEND[sys.argv[3]], dtype=torch.float16)
with torch.inference_mode():
    logits = model.model(torch.arange(3, 27).reshape(2, 12)).logits.float()
save_file({"logits": logits.contiguous()}, sys.argv[2])
"""


def tiny(tokenizer: PreTrainedTokenizerFast) -> Engine:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 192}
        special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
        config = AutoConfig.for_model(
            "llama", vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=256, **sizes, **special
        )
        module = AutoModelForCausalLM.from_config(config).eval()
        for parameter in module.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape)
    return around(module, tokenizer)


def around(module: torch.nn.Module, tokenizer: PreTrainedTokenizerFast) -> Engine:
    return Engine(module=module, renderer=Renderer(tokenizer=tokenizer, chat_template=None), budget=Budget(tokens=4096))


@torch.inference_mode()
def logits(module: torch.nn.Module) -> torch.Tensor:
    return module(TOKEN_IDS).logits.float()


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return ((one - other).norm() / other.norm()).item()


def context(scratch: Path, **changes: object) -> AttackContext:
    plain = AttackContext(forget=(), retain=(), profile=Profile.STANDARD, seed=1, scratch=scratch)
    return replace(plain, **changes)


def run(engine: Engine, name: str, use: AttackContext, **parameters: object) -> list[tuple[Dose, torch.Tensor]]:
    attack = Quantization(QuantizationParameters(quantizers=(name,), gptq_samples=16, gptq_tokens=32, **parameters))
    (arm,) = attack.arms(use)
    assert arm == Arm(name=name, settings=arm.settings)
    return [(dose, logits(dose.model.module)) for dose in attack.doses(engine, arm, use)]


def state_of_the_process() -> dict[str, object]:
    root = logging.getLogger()
    return {
        "environment": dict(os.environ),
        "logging": (root.level, tuple(root.handlers), logging.root.manager.disable),
        "torch": (torch.get_rng_state().tolist(), torch.get_num_threads(), torch.get_default_dtype()),
        "random": random.getstate(),
        "imported": "gptqmodel" in sys.modules,
    }


@needs_gptq
@pytest.mark.parametrize(
    ("name", "least", "most", "kind", "backend"),
    [
        ("gptq-4bit", 0.03, 0.5, "TorchLinear", "GPTQ_TORCH"),
        ("gptq-8bit", 0.0005, 0.04, "TorchLinear", "GPTQ_TORCH"),
        ("awq-4bit", 0.03, 0.5, "AwqTorchLinear", "AWQ_TORCH"),
    ],
)
def test_gptqmodel_gives_the_librarys_function_and_leaves_no_trace(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str, least: float, most: float, kind: str, backend: str
) -> None:
    engine = tiny(tokenizer)
    bits_before = {key: value.numpy().tobytes() for key, value in engine.module.state_dict().items()}
    process_before = state_of_the_process()
    ((dose, found),) = run(engine, name, context(tmp_path))

    assert state_of_the_process() == process_before
    assert {key: value.numpy().tobytes() for key, value in engine.module.state_dict().items()} == bits_before
    # Half precision scales and packed zero points for groups of 64, and an index for each column.
    assert (dose.label, dose.value) == (name, pytest.approx(8.6 if name == "gptq-8bit" else 4.5, abs=0.3))
    proof = dose.proof
    assert proof["backend"] == "gptqmodel"
    assert proof["layer_types"] == {kind: 14}
    # AWQ moves scales from the layers into the norms before them.
    rescaled = [key for key in proof.get("rescaled", []) if "norm" in key]
    assert bool(rescaled) is name.startswith("awq")
    assert proof["group_size"] == 64  # 128 does not divide 192
    assert (proof["calibration"], proof["calibration_texts"]) == ("generic", 16)
    assert proof["bytes_after"] < proof["bytes_before"]
    assert 0 < proof["relative_weight_change"] < 0.2
    assert least < distance(found, logits(engine.module)) < most

    (checkpoint,) = tmp_path.glob("*/quantized")
    expected = reference_logits(checkpoint, tmp_path / "reference.safetensors", backend)
    # The library computes in half precision here: 2**-11 a step.
    assert distance(found, expected) < 5e-3


def reference_logits(checkpoint: Path, target: Path, backend: str) -> torch.Tensor:
    from safetensors.torch import load_file

    environment = {"GPTQMODEL_CPU_WORKERS": "2", **os.environ}
    command = [sys.executable, "-c", REFERENCE, str(checkpoint), str(target), backend]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return load_file(target)["logits"]


@needs_gptq
def test_an_adapter_is_quantized_both_ways_on_retain_text(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    base = tiny(tokenizer)
    with base.fork(copy_weights=True) as fork, torch.random.fork_rng():
        torch.manual_seed(7)
        adapted = get_peft_model(fork.module, LoraConfig(r=4, target_modules=["q_proj", "down_proj"])).eval()
        for key, parameter in adapted.named_parameters():
            if "lora_B" in key:
                parameter.data.normal_(std=0.2)
    engine = around(adapted, tokenizer)
    before = {key: value.numpy().tobytes() for key, value in adapted.state_dict().items()}
    retain = tuple(
        Fact(id=str(index), subject=str(index), question=f"What is the capital of country {index}?", answer="Paris.")
        for index in range(16)
    )
    use = context(tmp_path, retain=retain, prepared={"adapter_doses": True})
    (merged, merged_logits), (on_top, on_top_logits) = run(engine, "gptq-8bit", use, gptq_calibration="retain")
    assert (merged.label, on_top.label) == ("gptq-8bit", "gptq-8bit+adapter")
    assert merged.proof["layers"] == on_top.proof["layers"] == 14
    assert merged.proof["calibration"] == "retain"
    # Both keep the adapter's effect, which is far larger than the rounding; they round different weights.
    expected = logits(engine.module)
    assert distance(logits(base.module), expected) > 0.2
    assert 0 < distance(merged_logits, expected) < 0.05
    assert 0 < distance(on_top_logits, expected) < 0.05
    assert not torch.equal(merged_logits, on_top_logits)
    assert {key: value.numpy().tobytes() for key, value in adapted.state_dict().items()} == before


def settings(**changes: object) -> GptqSettings:
    return replace(
        GptqSettings(method="gptq", bits=4, group_size=64, texts=("a text",), budget_seconds=60.0), **changes
    )


def test_a_worker_that_fails_is_an_error_with_its_last_line(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = tmp_path / "package" / "gptq_worker.py"
    failing.parent.mkdir()
    failing.write_text("raise SystemExit('the backend has no such kernel')")
    monkeypatch.setattr(gptq, "__file__", str(failing.parent / "gptq.py"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    engine = tiny(tokenizer)
    with engine.fork() as fork, pytest.raises(AttackError, match="no such kernel"):
        quantize_with_gptq(fork, fork.module, context(scratch), settings())


def test_a_worker_that_takes_too_long_is_stopped(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "package" / "gptq_worker.py"
    slow.parent.mkdir()
    slow.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(gptq, "__file__", str(slow.parent / "gptq.py"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    engine = tiny(tokenizer)
    with engine.fork() as fork, pytest.raises(AttackError, match=r"more than 0\.5 s"):
        quantize_with_gptq(fork, fork.module, context(scratch), settings(budget_seconds=0.5))


# A stand-in that does to the first weights of each layer what its argument says, in place of GPTQModel.
STAND_IN = """
import json, sys
from pathlib import Path
from safetensors.torch import load_file, save_file
job = json.loads(Path(sys.argv[1]).read_text())
weights = {name.removesuffix(".weight"): value for name, value in load_file(job["model"] + "/model.safetensors").items()
           if "proj" in name}
weights = {name: value CHANGE for name, value in weights.items()}
save_file(weights, job["weights"])
layers = {name: {"kind": "StandIn", "bytes": value.numel()} for name, value in weights.items()}
Path(job["summary"]).write_text(json.dumps({"version": "0", "layers": {RENAME: info for name, info in layers.items()}}))
"""


@pytest.mark.parametrize(
    ("change", "rename", "message"),
    [
        pytest.param("", "name", "changed no weight", marks=pytest.mark.slow),
        ("* 2", "name + '.experts'", "does not have as linear layers"),
    ],
)
def test_a_backend_that_does_something_else_is_an_error(
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    rename: str,
    message: str,
) -> None:
    with_stand_in(tmp_path, monkeypatch, change, rename)
    engine = tiny(tokenizer)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with engine.fork() as fork, pytest.raises(AttackError, match=message):
        quantize_with_gptq(fork, fork.module, context(scratch), settings())


def test_the_weights_that_the_backend_made_reach_the_fork_and_not_the_caller(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_stand_in(tmp_path, monkeypatch, "* 2", "name")
    engine = tiny(tokenizer)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = {key: value.clone() for key, value in engine.module.state_dict().items()}
    with engine.fork() as fork:
        proof = quantize_with_gptq(fork, fork.module, context(scratch), settings())
        after = fork.module.state_dict()
    for key, value in before.items():
        assert torch.equal(engine.module.state_dict()[key], value)
        assert torch.equal(after[key], value * 2 if "proj" in key else value)
    assert proof["relative_weight_change"] == pytest.approx(1.0)
    # One byte a weight instead of four.
    quantized = sum(value.numel() for key, value in before.items() if "proj" in key)
    assert proof["bytes_before"] - proof["bytes_after"] == 3 * quantized
    job = json.loads(next(scratch.glob("*/job.json")).read_text())
    assert (job["bits"], job["group_size"], job["dtype"], job["texts"]) == (4, 64, "float32", ["a text"])


# What AWQ leaves beside the weights: a norm that took up scales, an embedding and a norm that were only stored.
OTHERS = """
others = {name: value.half() for name, value in load_file(job["model"] + "/model.safetensors").items()
          if "proj" not in name}
others["model.layers.0.input_layernorm.weight"] *= 2
others |= STRANGERS
save_file(others, job["others"])
"""


def test_the_tensors_that_awq_rescaled_come_back_with_the_weights(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = with_stand_in(tmp_path, monkeypatch, "* 2", "name")
    worker.write_text(worker.read_text() + OTHERS.replace("STRANGERS", "{}"))
    engine = tiny(tokenizer)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = {key: value.clone() for key, value in engine.module.state_dict().items()}
    with engine.fork() as fork:
        proof = quantize_with_gptq(fork, fork.module, context(scratch), settings(method="awq"))
        after = fork.module.state_dict()
    assert proof["rescaled"] == ["model.layers.0.input_layernorm.weight"]
    for key, value in before.items():
        assert torch.equal(engine.module.state_dict()[key], value)
        if "layers.0.input_layernorm" in key:
            torch.testing.assert_close(after[key], 2 * value, rtol=1e-3, atol=0)
        elif "proj" not in key:
            assert torch.equal(after[key], value)  # what half precision alone rounded is left as it was
    assert json.loads(next(scratch.glob("*/job.json")).read_text())["method"] == "awq"


@pytest.mark.slow
def test_a_tensor_that_the_model_does_not_have_is_an_error(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = with_stand_in(tmp_path, monkeypatch, "* 2", "name")
    worker.write_text(worker.read_text() + OTHERS.replace("STRANGERS", "{'stranger': others['model.norm.weight'] * 3}"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    engine = tiny(tokenizer)
    with engine.fork() as fork, pytest.raises(AttackError, match="gave back stranger"):
        quantize_with_gptq(fork, fork.module, context(scratch), settings(method="awq"))


def with_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, rename: str) -> Path:
    worker = tmp_path / "package" / "gptq_worker.py"
    worker.parent.mkdir()
    worker.write_text(STAND_IN.replace("CHANGE", change).replace("RENAME", rename))
    monkeypatch.setattr(gptq, "__file__", str(worker.parent / "gptq.py"))
    return worker
