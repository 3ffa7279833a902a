"""Quantization rounds what it says it rounds, as the libraries do, proves it, and leaves the caller's model alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from pydantic import ValidationError
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedTokenizerFast
from unlearn_audit.attacks.as_is import AsIs, NoParameters
from unlearn_audit.attacks.quantization import backends as quantization_backends
from unlearn_audit.attacks.quantization import with_bitsandbytes
from unlearn_audit.attacks.quantization.attack import Quantization, QuantizationParameters
from unlearn_audit.attacks.quantization.formats import Backend, Quantizer
from unlearn_audit.attacks.quantization.layers import bitsandbytes as bitsandbytes_layers
from unlearn_audit.attacks.quantization.layers import gptq
from unlearn_audit.attacks.quantization.proof import LayerChange, proof
from unlearn_audit.attacks.quantization.with_bitsandbytes import quantize_with_bitsandbytes
from unlearn_audit.attacks.shared.linear_layers import LinearLayer, linear_layers

from unlearn_audit.api import Arm, AttackContext, Dose, Profile
from unlearn_audit.errors import AttackError
from unlearn_audit.models.engine import Budget, Engine
from unlearn_audit.models.rendering import Renderer
from unlearn_audit.spec.policy import Release

BITSANDBYTES = [quantizer for quantizer in Quantizer if quantizer.backend is Backend.BITSANDBYTES]
TOKEN_IDS = torch.arange(3, 27).reshape(2, 12)

# The sixteen NF4 values (2305.14314, appendix E) and the sixteen FP4 values (sign, then table order, over 12),
# by code.
NF4 = [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
]
FP4_HALF = [0.0, 0.0625 / 12, 8 / 12, 12 / 12, 4 / 12, 6 / 12, 2 / 12, 3 / 12]
FP4 = FP4_HALF + [-value for value in FP4_HALF]


def tiny(tokenizer: PreTrainedTokenizerFast, architecture: str = "llama", *, seed: int = 0) -> Engine:
    """Two random layers, wide enough for several blocks a row, with biases where the architecture has them."""
    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 192}
    options = {
        "llama": sizes | {"num_key_value_heads": 2},
        "gpt_neox": sizes,
        "gpt2": {"n_embd": 128, "n_layer": 2, "n_head": 4},
    }
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = AutoConfig.for_model(architecture, vocab_size=len(tokenizer), **special, **options[architecture])
        module = AutoModelForCausalLM.from_config(config).eval()
        for parameter in module.parameters():  # no bias stays 0
            parameter.data += 0.05 * torch.randn(parameter.shape)
    return around(module, tokenizer)


def around(module: torch.nn.Module, tokenizer: PreTrainedTokenizerFast) -> Engine:
    return Engine(module=module, renderer=Renderer(tokenizer=tokenizer, chat_template=None), budget=Budget(tokens=4096))


def with_adapter(engine: Engine, tokenizer: PreTrainedTokenizerFast) -> Engine:
    """A LoRA that changes the answers (B is not left at 0), on copies of the weights."""
    with engine.fork(copy_weights=True) as fork, torch.random.fork_rng():
        torch.manual_seed(7)
        adapted = get_peft_model(fork.module, LoraConfig(r=4, target_modules=["q_proj", "down_proj"])).eval()
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(std=0.2)
    return around(adapted, tokenizer)


def context(**changes: object) -> AttackContext:
    return replace(AttackContext(forget=(), retain=(), profile=Profile.QUICK, seed=1), **changes)


def beside(original: Engine) -> AttackContext:
    """A context with an original to compare with."""
    return context(has_original=True, load_original=lambda: original.module)


def arm(quantizer: Quantizer) -> Arm:
    return Arm(name=quantizer.value, settings={"quantizer": quantizer.value})


def attack(**parameters: object) -> Quantization:
    return Quantization(QuantizationParameters(**parameters))


def doses(engine: Engine, quantizer: Quantizer, use: AttackContext | None = None) -> Iterator[Dose]:
    return attack().doses(engine, arm(quantizer), use or context())


@torch.inference_mode()
def logits(module: torch.nn.Module) -> torch.Tensor:
    return module(TOKEN_IDS).logits.float()


def loaded(directory: Path, quantizer: Quantizer) -> torch.nn.Module:
    """The reference: transformers' own loading with a quantization config."""
    if quantizer is Quantizer.INT8:
        config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=6.0)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="fp4" if quantizer is Quantizer.FP4 else "nf4",
            bnb_4bit_use_double_quant=quantizer is Quantizer.NF4_DQ,
            bnb_4bit_compute_dtype=torch.float32,
        )
    module = AutoModelForCausalLM.from_pretrained(directory, quantization_config=config, device_map="cpu").eval()
    return in_float32(module)


def in_float32(module: torch.nn.Module) -> torch.nn.Module:
    """Keeps bitsandbytes from computing in bfloat16 where the CPU could; see `bitsandbytes_layers`."""
    for layer in module.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return module


def snapshot(module: torch.nn.Module) -> dict[str, object]:
    """Everything that an attack could have changed: bits, places in memory, kinds, modes, configuration."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        "bits": {name: tensor.detach().numpy().tobytes() for name, tensor in tensors.items()},
        "places": {name: tensor.data_ptr() for name, tensor in tensors.items()},
        "parameters": {name: id(parameter) for name, parameter in module.named_parameters()},
        "kinds": {name: type(child) for name, child in module.named_modules()},
        "modes": {name: child.training for name, child in module.named_modules()},
        "gradients": {name: parameter.requires_grad for name, parameter in module.named_parameters()},
        "config": module.config.to_json_string(),
    }


def layer_of(weight: torch.Tensor, bias: torch.Tensor | None = None) -> LinearLayer:
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False).eval()
    return LinearLayer(path="a", name="a", module=linear, weight=weight, bias=bias)


def test_the_baseline_is_the_model_itself(tokenizer: PreTrainedTokenizerFast) -> None:
    engine = tiny(tokenizer)
    baseline = AsIs(NoParameters())
    (only,) = baseline.arms(context())
    (dose,) = baseline.doses(engine, only, context())
    assert dose.model is engine
    assert (dose.label, dose.value, dose.fact_ids) == ("none", 0.0, None)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("quantizer", BITSANDBYTES)
def test_logits_are_those_of_loading_quantized(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, quantizer: Quantizer, architecture: str
) -> None:
    engine = tiny(tokenizer, architecture)
    engine.module.save_pretrained(tmp_path)
    expected = logits(loaded(tmp_path, quantizer))
    with closing(doses(engine, quantizer)) as attacked:
        dose = next(attacked)
        # Half a byte or a byte a weight, and 32 bits of scale for a block of 64 (NF4, FP4), or for a row.
        bits = {Quantizer.NF4: 4.5, Quantizer.FP4: 4.5, Quantizer.NF4_DQ: 4.13, Quantizer.INT8: 8.2}[quantizer]
        assert (dose.label, dose.value) == (quantizer.value, pytest.approx(bits, abs=0.06))
        torch.testing.assert_close(logits(dose.model.module), expected, rtol=1e-5, atol=1e-5)
        # Negative control: the two agree because both are quantized, not because neither is.
        assert (expected - logits(engine.module)).norm() > 1e-3 * expected.norm()


@pytest.mark.parametrize(("quantizer", "table"), [(Quantizer.NF4, NF4), (Quantizer.FP4, FP4)])
def test_four_bit_codes_are_the_nearest_table_value_of_the_block(quantizer: Quantizer, table: list[float]) -> None:
    weight = torch.randn(6, 128, generator=torch.Generator().manual_seed(3))
    made = bitsandbytes_layers.quantized_layer(layer_of(weight), quantizer)
    values = torch.tensor(table)
    expected_codes, expected_values = torch.empty(6, 128, dtype=torch.uint8), torch.empty(6, 128)
    for row in range(6):
        for block in range(0, 128, 64):
            scale = weight[row, block : block + 64].abs().max()
            for column in range(block, block + 64):
                code = (values - weight[row, column] / scale).abs().argmin()
                expected_codes[row, column] = code
                expected_values[row, column] = values[code] * scale
    codes = bitsandbytes_layers.codes(made)
    assert (values[codes.long()] == values[expected_codes.long()]).all()  # FP4 has two codes for zero
    torch.testing.assert_close(bitsandbytes_layers.dequantized(made), expected_values)


def test_int8_codes_are_127ths_of_the_row_maximum() -> None:
    weight = torch.tensor([[1.0, -0.5, 0.25, 0.0], [0.5, 2.0, -4.0, 1.0]])
    made = bitsandbytes_layers.quantized_layer(layer_of(weight), Quantizer.INT8)
    # 63.5 rounds to even; 31.75, 15.875 and 63.5 of the second row likewise.
    assert bitsandbytes_layers.codes(made).tolist() == [[127, -64, 32, 0], [16, 64, -127, 32]]
    assert bitsandbytes_layers.dequantized(made)[0, 2].item() == pytest.approx(32 / 127, rel=1e-3)


def test_widths_that_no_cpu_kernel_likes_still_compute() -> None:
    weight = torch.randn(33, 100, generator=torch.Generator().manual_seed(1))
    inputs = torch.randn(3, 100, generator=torch.Generator().manual_seed(2))
    for quantizer in BITSANDBYTES:
        made = bitsandbytes_layers.quantized_layer(layer_of(weight), quantizer)
        expected = inputs @ bitsandbytes_layers.dequantized(made).float().T
        tolerance = 0.02 if quantizer is Quantizer.INT8 else 1e-5  # LLM.int8() rounds the inputs too
        with torch.inference_mode():
            assert (made(inputs) - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("quantizer", BITSANDBYTES)
def test_a_bias_that_the_library_casts_is_not_the_callers(quantizer: Quantizer) -> None:
    bias = torch.nn.Parameter(torch.randn(64))
    made = bitsandbytes_layers.quantized_layer(layer_of(torch.randn(64, 64), bias.detach()), quantizer)
    with torch.inference_mode():
        made.to(torch.bfloat16)(torch.randn(2, 64, dtype=torch.bfloat16))
    assert bias.dtype == torch.float32


@pytest.mark.parametrize("quantizer", BITSANDBYTES)
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("way_out", ["exhausted", "closed", "failed"])
def test_the_callers_model_is_bit_identical_afterwards(
    tokenizer: PreTrainedTokenizerFast, quantizer: Quantizer, architecture: str, way_out: str
) -> None:
    engine = tiny(tokenizer, architecture)
    before = snapshot(engine.module)
    attacked = doses(engine, quantizer, context(prepared={"adapter_doses": True}))
    logits(next(attacked).model.module)
    match way_out:
        case "exhausted":
            for dose in attacked:
                logits(dose.model.module)
        case "closed":
            attacked.close()
        case _:
            with pytest.raises(ZeroDivisionError):
                attacked.throw(ZeroDivisionError())
    assert snapshot(engine.module) == before


def test_an_adapters_model_is_bit_identical_afterwards(tokenizer: PreTrainedTokenizerFast) -> None:
    engine = with_adapter(tiny(tokenizer), tokenizer)
    before = snapshot(engine.module)
    for dose in doses(engine, Quantizer.NF4, context(prepared={"adapter_doses": True})):
        logits(dose.model.module)
    assert snapshot(engine.module) == before


def test_the_proof_counts_layers_shares_and_bytes(tokenizer: PreTrainedTokenizerFast) -> None:
    engine = tiny(tokenizer)
    made = next(doses(engine, Quantizer.NF4)).proof
    attention, mlp = 2 * 128 * 128 + 2 * 64 * 128, 3 * 192 * 128
    quantized = 2 * (attention + mlp)
    parameters = sum(parameter.numel() for parameter in engine.module.parameters())
    assert made["backend"] == "bitsandbytes"
    assert made["layer_types"] == {"Linear4bit": 14}
    assert made["share_of_parameters"] == round(quantized / parameters, 4)
    assert made["bytes_before"] == 4 * parameters
    # Half a byte a weight, a float32 scale for each block of 64, a table of 16 floats for each layer.
    assert made["bytes_after"] == 4 * (parameters - quantized) + quantized // 2 + 4 * quantized // 64 + 14 * 64
    assert "same_bucket" not in made


def test_the_output_layer_stays_as_transformers_keeps_it(tokenizer: PreTrainedTokenizerFast) -> None:
    for architecture, output in (("llama", "lm_head"), ("gpt_neox", "embed_out"), ("gpt2", "lm_head")):
        names = {layer.name for layer in linear_layers(tiny(tokenizer, architecture).module)}
        assert names
        assert not any(output in name for name in names)


def test_fewer_bits_move_the_weights_further(tokenizer: PreTrainedTokenizerFast) -> None:
    moved = {}
    for quantizer in BITSANDBYTES:
        with tiny(tokenizer).fork() as fork:
            before = {layer.name: layer.weight.double() for layer in linear_layers(fork.module)}
            moved[quantizer] = quantize_with_bitsandbytes(fork, quantizer, None)["relative_weight_change"]
            after = {
                name.replace(".weight", ""): bitsandbytes_layers.dequantized(fork.module.get_submodule(name)).double()
                for name in before
            }
        error = sum(((before[name] - after[name]) ** 2).sum().item() for name in before)
        norm = sum((weight**2).sum().item() for weight in before.values())
        assert moved[quantizer] == pytest.approx((error / norm) ** 0.5, rel=1e-4)
    assert moved[Quantizer.INT8] < moved[Quantizer.NF4] < moved[Quantizer.FP4]
    assert moved[Quantizer.NF4_DQ] == pytest.approx(moved[Quantizer.NF4], rel=0.05)


@pytest.mark.parametrize("quantizer", BITSANDBYTES)
def test_an_update_inside_the_boxes_is_undone_and_the_diagnostic_sees_it(
    tokenizer: PreTrainedTokenizerFast, quantizer: Quantizer
) -> None:
    original = tiny(tokenizer)
    with original.fork(copy_weights=True) as unlearned:
        for layer in linear_layers(unlearned.module):
            # Half way to the middle of the box; what sets a scale stays, and nothing grows beyond it.
            rounded = bitsandbytes_layers.dequantized(bitsandbytes_layers.quantized_layer(layer, quantizer)).float()
            scale = _scale_of(layer.weight, quantizer)
            halfway = ((layer.weight + rounded) / 2).clamp(-scale, scale)
            layer.weight.copy_(torch.where(layer.weight.abs() == scale, layer.weight, halfway))
        changed = logits(unlearned.module)
        assert (changed - logits(original.module)).norm() > 1e-3 * changed.norm()
        use = beside(original)
        with closing(doses(unlearned, quantizer, use)) as attacked, closing(doses(original, quantizer)) as reference:
            dose = next(attacked)
            assert dose.proof["same_bucket"]["overall"] == 1.0
            torch.testing.assert_close(
                logits(dose.model.module), logits(next(reference).model.module), rtol=1e-4, atol=1e-4
            )


def _scale_of(weight: torch.Tensor, quantizer: Quantizer) -> torch.Tensor:
    """The absolute maximum that scales each weight: of its row for LLM.int8(), of its block of 64 for the others."""
    width = weight.shape[1] if quantizer is Quantizer.INT8 else 64
    return weight.abs().reshape(-1, width).amax(dim=1, keepdim=True).expand(-1, width).reshape(weight.shape)


def test_the_diagnostic_names_the_layer_that_left_its_boxes(tokenizer: PreTrainedTokenizerFast) -> None:
    engine = tiny(tokenizer)
    with engine.fork(copy_weights=True) as other:
        other.module.model.layers[1].mlp.up_proj.weight.data.neg_()
        use = beside(engine)
        same = next(doses(other, Quantizer.INT8, use)).proof["same_bucket"]
    shares = same["layers"]
    # Only a weight that rounds to zero keeps its code when its sign turns.
    assert shares.pop("model.layers.1.mlp.up_proj") < 0.05
    assert set(shares.values()) == {1.0}
    assert same["layers_compared"] == 14
    assert same["overall"] < 1.0


def test_unrelated_weights_share_few_boxes(tokenizer: PreTrainedTokenizerFast) -> None:
    other = tiny(tokenizer, seed=1)
    same = next(doses(tiny(tokenizer), Quantizer.NF4, beside(other))).proof["same_bucket"]
    # NF4 fills its sixteen boxes about evenly with normal weights, so chance is near one in sixteen.
    assert 0.05 < same["overall"] < 0.09


def test_an_original_of_another_shape_is_not_compared(tokenizer: PreTrainedTokenizerFast) -> None:
    other = tiny(tokenizer, "gpt_neox")
    made = next(doses(tiny(tokenizer), Quantizer.NF4, beside(other))).proof
    assert "same_bucket" not in made


@pytest.mark.parametrize("quantizer", [Quantizer.NF4, Quantizer.INT8])
def test_adapters_are_quantized_both_ways(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, quantizer: Quantizer
) -> None:
    base = tiny(tokenizer)
    engine = with_adapter(base, tokenizer)
    base.module.save_pretrained(tmp_path / "base")
    engine.module.save_pretrained(tmp_path / "adapter")
    with engine.merged() as merged:
        merged.module.save_pretrained(tmp_path / "merged")
    attacked = doses(engine, quantizer, context(prepared={"adapter_doses": True}))
    merged_dose = next(attacked)
    assert merged_dose.label == quantizer.value
    torch.testing.assert_close(
        logits(merged_dose.model.module), logits(loaded(tmp_path / "merged", quantizer)), rtol=1e-5, atol=1e-5
    )
    on_top = next(attacked)
    assert on_top.label == f"{quantizer.value}+adapter"
    reference = PeftModel.from_pretrained(loaded(tmp_path / "base", quantizer), tmp_path / "adapter").eval()
    torch.testing.assert_close(logits(on_top.model.module), logits(in_float32(reference)), rtol=1e-5, atol=1e-5)
    assert on_top.proof["layers"] == merged_dose.proof["layers"] == 14
    adapter = {name: value for name, value in engine.module.named_parameters() if "lora_" in name}
    kept = dict(on_top.model.module.named_parameters())
    assert adapter
    assert all(torch.equal(value, kept[name]) for name, value in adapter.items())
    assert next(attacked, None) is None


def test_every_role_gets_the_same_dose_labels(tokenizer: PreTrainedTokenizerFast) -> None:
    plain = tiny(tokenizer)
    adapted = with_adapter(plain, tokenizer)
    both = context(prepared={"adapter_doses": True})
    for use, expected in ((context(), ["nf4"]), (both, ["nf4", "nf4+adapter"])):
        for engine in (plain, adapted):
            assert [dose.label for dose in doses(engine, Quantizer.NF4, use)] == expected
    first, second = (logits(dose.model.module) for dose in doses(plain, Quantizer.NF4, both))
    assert torch.equal(first, second)


def test_a_backend_that_leaves_the_weights_alone_is_an_error(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(with_bitsandbytes, "dequantized", lambda made: made.before)

    def pretend(layer: LinearLayer, quantizer: Quantizer) -> torch.nn.Module:
        made = bitsandbytes_layers.quantized_layer(layer, quantizer)
        made.before = layer.weight
        return made

    monkeypatch.setattr(with_bitsandbytes, "quantized_layer", pretend)
    with pytest.raises(AttackError, match="changed no weight"):
        next(doses(tiny(tokenizer), Quantizer.NF4))


def test_a_checkpoint_that_was_already_rounded_comes_out_as_it_went_in(tokenizer: PreTrainedTokenizerFast) -> None:
    engine = tiny(tokenizer)
    with engine.fork(copy_weights=True) as rounded:
        for layer in linear_layers(rounded.module):
            made = bitsandbytes_layers.quantized_layer(layer, Quantizer.NF4)
            layer.weight.copy_(bitsandbytes_layers.dequantized(made))
        dose = next(doses(rounded, Quantizer.NF4))
        assert dose.proof["already_rounded"] is True
        assert dose.proof["relative_weight_change"] == 0.0


def test_proof_refuses_what_proves_nothing() -> None:
    change = LayerChange(
        name="a", kind="X", weights=4, squared_error=1.0, squared_norm=4.0, bytes_before=16, bytes_after=2
    )
    made = proof("b", "1", [change], (10, 40))
    assert (made["relative_weight_change"], made["share_of_parameters"], made["bytes_after"]) == (0.5, 0.4, 26)
    with pytest.raises(AttackError, match="no linear layer"):
        proof("b", "1", [], (10, 40))
    with pytest.raises(AttackError, match="changed no weight"):
        proof("b", "1", [replace(change, squared_error=0.0)], (10, 40))
    with pytest.raises(AttackError, match="no bytes"):
        proof("b", "1", [replace(change, bytes_after=16)], (10, 40))
    with pytest.raises(AttackError, match="not finite"):
        proof("b", "1", [replace(change, squared_error=float("nan"))], (10, 40))


def test_arms_by_profile_and_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    four, here = ["nf4", "fp4", "int8", "q4_0"], ["bitsandbytes", "gguf"]
    three = [name for name in four if name != "fp4"]
    monkeypatch.setattr(quantization_backends, "find_spec", lambda name: name in here or None)
    standard = context(profile=Profile.STANDARD)

    def names(made: Quantization, use: AttackContext) -> list[str]:
        return [each.name for each in made.arms(use)]

    def left_out(made: Quantization, use: AttackContext) -> dict[str, str]:
        return {item.what: item.why for item in made.out_of_reach(use, weight_bytes=1, is_adapter=False)}

    assert names(attack(), context()) == three
    assert left_out(attack(), context()) == {}
    assert names(attack(), standard) == [*four, "q8_0"]
    missing = left_out(attack(), standard)
    assert list(missing) == ["hqq-4bit", "gptq-4bit", "awq-4bit"]
    assert "unlearn-audit[gptq]" in missing["awq-4bit"]
    assert "unlearn-audit[hqq]" in missing["hqq-4bit"]
    here += ["hqq", "gptqmodel", "torchao", "torch", "llama_cpp"]
    assert names(attack(), standard) == [*four, "q8_0", "hqq-4bit", "gptq-4bit", "awq-4bit"]
    assert left_out(attack(), standard) == {}
    assert names(attack(), context(profile=Profile.DEEP)) == [quantizer.value for quantizer in Quantizer]
    chosen = attack(quantizers=("int8", "nf4"))
    assert names(chosen, standard) == ["nf4", "int8"]


def test_bitsandbytes_missing_is_said_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization_backends, "find_spec", lambda name: None if name == "bitsandbytes" else name)
    assert [each.name for each in attack().arms(context())] == ["q4_0"]
    left_out = attack().out_of_reach(context(), weight_bytes=1, is_adapter=False)
    assert [item.what for item in left_out] == ["nf4", "int8"]
    assert "no build for this platform" in left_out[0].why


def test_what_was_asked_for_by_name_and_is_missing_is_an_error(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization_backends, "find_spec", lambda name: None)
    made = attack(quantizers=("gptq-4bit",))
    assert made.out_of_reach(context(), weight_bytes=1, is_adapter=False) == ()
    (only,) = made.arms(context())
    with pytest.raises(AttackError, match="pip install"):
        next(made.doses(tiny(tokenizer), only, context()))


def test_parameters_are_checked() -> None:
    for wrong in ({"quantizers": ()}, {"quantizers": ("4-bit",)}, {"gptq_group_size": 100}, {"bits": 4}):
        with pytest.raises(ValidationError):
            QuantizationParameters(**wrong)


def test_users_of_an_api_meet_quantized_models() -> None:
    assert Release.API.reaches(Quantization.access, served=Quantization.served)


def test_listing_the_attacks_loads_no_torch() -> None:
    modules = "unlearn_audit.attacks.as_is, unlearn_audit.attacks.quantization.attack"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_group_sizes_shrink_until_they_divide_every_width() -> None:
    wide, odd = layer_of(torch.zeros(8, 1536)), layer_of(torch.zeros(8, 576))
    assert gptq._group_size({"a": wide}, 128) == 128
    assert gptq._group_size({"a": wide, "b": odd}, 128) == 64
    with pytest.raises(AttackError, match="100"):
        gptq._group_size({"a": layer_of(torch.zeros(8, 100))}, 128)
