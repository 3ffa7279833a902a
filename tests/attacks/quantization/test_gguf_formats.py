"""llama.cpp's block formats: rounded as written down, proven, on one axis of bits, the caller's model untouched."""

from __future__ import annotations

import logging
import math
from contextlib import closing

import pytest
import torch
from transformers import PreTrainedTokenizerFast
from unlearn_audit.attacks.quantization.formats import Backend, Quantizer
from unlearn_audit.attacks.quantization.layers.gguf import quantize_with_gguf, rounded
from unlearn_audit.attacks.shared.linear_layers import linear_layers

from tests.attacks.quantization.test_quantization import (
    arm,
    attack,
    context,
    doses,
    logits,
    snapshot,
    tiny,
    with_adapter,
)
from unlearn_audit.api import Json
from unlearn_audit.errors import AttackError

GGUF = [quantizer for quantizer in Quantizer if quantizer.backend is Backend.GGUF]
# Bytes of a block of 32: codes, the fifth bits, and one or two scales in half precision.
BITS = {
    Quantizer.Q4_0: 8 * (16 + 2) / 32,
    Quantizer.Q4_1: 8 * (16 + 4) / 32,
    Quantizer.Q5_0: 8 * (16 + 4 + 2) / 32,
    Quantizer.Q5_1: 8 * (16 + 4 + 4) / 32,
    Quantizer.Q8_0: 8 * (32 + 2) / 32,
    Quantizer.MXFP4: 8 * (16 + 1) / 32,
}
# Twice the values of E2M1, by code (Open Compute Project, microscaling formats 1.0, section 5.3.3).
E2M1 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


def weights(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(11))


def half(value: float) -> float:
    return torch.tensor(value).half().item()


def slowly(block: list[float], quantizer: Quantizer) -> tuple[list[int], list[float]]:
    """Codes and values of one block, from the formats' definitions."""
    levels = {Quantizer.Q4_0: 16, Quantizer.Q4_1: 16, Quantizer.Q5_0: 32, Quantizer.Q5_1: 32}
    if quantizer is Quantizer.Q8_0:
        step = max(map(abs, block)) / 127
        codes = [round(value / step) for value in block]
        return [code % 256 for code in codes], [half(step) * code for code in codes]
    if quantizer is Quantizer.MXFP4:
        unit = 2.0 ** (math.floor(math.log2(max(map(abs, block)))) - 3)
        codes = [min(range(16), key=lambda code: abs(E2M1[code] * unit - value)) for value in block]
        return codes, [E2M1[code] * unit for code in codes]
    count = levels[quantizer]
    if quantizer in (Quantizer.Q4_0, Quantizer.Q5_0):
        step = max(block, key=abs) / -(count // 2)
        codes = [min(count - 1, int(value / step + count // 2 + 0.5)) for value in block]
        return codes, [half(step) * (code - count // 2) for code in codes]
    step = (max(block) - min(block)) / (count - 1)
    codes = [min(count - 1, int((value - min(block)) / step + 0.5)) for value in block]
    return codes, [half(step) * code + half(min(block)) for code in codes]


@pytest.mark.parametrize("quantizer", GGUF)
def test_codes_and_values_are_those_of_the_format(quantizer: Quantizer) -> None:
    weight = weights(4, 96)
    made = rounded(weight, quantizer)
    assert made is not None
    assert made.codes is not None
    for row in range(4):
        for start in (0, 32, 64):
            codes, values = slowly(weight[row, start : start + 32].tolist(), quantizer)
            assert made.codes[row, start : start + 32].tolist() == codes
            torch.testing.assert_close(made.weight[row, start : start + 32], torch.tensor(values))
    assert made.stored_bytes == 4 * 96 * BITS[quantizer] / 8


@pytest.mark.parametrize("quantizer", GGUF)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox"])
def test_the_model_computes_with_the_rounded_weights(
    tokenizer: PreTrainedTokenizerFast, quantizer: Quantizer, architecture: str
) -> None:
    engine = tiny(tokenizer, architecture)
    before = snapshot(engine.module)
    with engine.fork(copy_weights=True) as by_hand, closing(doses(engine, quantizer)) as attacked:
        for layer in linear_layers(by_hand.module):
            made = rounded(layer.weight, quantizer)
            assert made is not None
            layer.weight.copy_(made.weight)
        dose = next(attacked)
        assert (dose.label, dose.value) == (quantizer.value, BITS[quantizer])
        torch.testing.assert_close(logits(dose.model.module), logits(by_hand.module), rtol=1e-5, atol=1e-5)
        assert (logits(dose.model.module) - logits(engine.module)).norm() > 1e-4 * logits(engine.module).norm()
    assert snapshot(engine.module) == before


def test_an_adapter_is_rounded_both_ways(tokenizer: PreTrainedTokenizerFast) -> None:
    engine = with_adapter(tiny(tokenizer), tokenizer)
    before = snapshot(engine.module)
    use = context(prepared={"adapter_doses": True})
    found = {dose.label: logits(dose.model.module) for dose in doses(engine, Quantizer.Q8_0, use)}
    expected = logits(engine.module)
    assert list(found) == ["q8_0", "q8_0+adapter"]
    for made in found.values():
        assert 0 < (made - expected).norm() < 0.05 * expected.norm()
    assert not torch.equal(*found.values())
    assert snapshot(engine.module) == before


def test_half_precision_weights_stay_in_it(tokenizer: PreTrainedTokenizerFast) -> None:
    engine = tiny(tokenizer)
    engine.module.half()
    with closing(doses(engine, Quantizer.Q4_0)) as attacked:
        dose = next(attacked)
        assert {layer.weight.dtype for layer in linear_layers(dose.model.module)} == {torch.float16}
        assert dose.value == 4.5


def proof_of(*layers: tuple[int, int]) -> dict[str, Json]:
    """Of a model that holds just these layers, (out, in)."""
    module = torch.nn.ModuleDict({f"l{place}": torch.nn.Linear(i, o) for place, (o, i) in enumerate(layers)})
    return quantize_with_gguf(_as_model(module), Quantizer.Q4_0, None)


def _as_model(parts: torch.nn.Module) -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaModel

    model = LlamaModel(LlamaConfig(num_hidden_layers=0, vocab_size=8, hidden_size=8, num_attention_heads=2))
    model.parts = parts
    return model.eval()


def test_rows_that_no_block_fits_are_left_alone_and_named() -> None:
    made = proof_of((128, 64), (8, 48))
    assert made["left_alone"] == ["parts.l1"]
    assert (made["layers"], made["share_of_block_weights"]) == (1, pytest.approx(0.9552, abs=1e-4))
    with pytest.raises(AttackError, match=r"rounded 57\.1% of the weights of the blocks; at least 95% are needed"):
        proof_of((8, 64), (8, 48))
    with pytest.raises(AttackError, match="found no linear layer"):
        proof_of((8, 48))


def test_what_was_rounded_before_comes_out_as_it_is_and_says_so(tokenizer: PreTrainedTokenizerFast) -> None:
    engine = tiny(tokenizer)
    with engine.fork() as served:
        assert "already_rounded" not in quantize_with_gguf(served.module, Quantizer.Q4_0, None)
        once = logits(served.module)
        with served.fork() as again:
            made = quantize_with_gguf(again.module, Quantizer.Q4_0, None)
            assert made["already_rounded"] is True
            assert made["relative_weight_change"] == 0.0
            assert torch.equal(logits(again.module), once)


def test_the_share_of_weights_in_the_originals_box_is_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    original, other = tiny(tokenizer), tiny(tokenizer, seed=1)
    with original.fork() as fork:
        same = quantize_with_gguf(fork.module, Quantizer.Q4_0, original.module)
    with other.fork() as fork:
        different = quantize_with_gguf(fork.module, Quantizer.Q4_0, original.module)
    assert same["same_bucket"]["overall"] == 1.0  # type: ignore[index, call-overload]
    assert different["same_bucket"]["overall"] < 0.5  # type: ignore[index, call-overload, operator]


def test_bits_are_one_axis_whatever_the_size_of_the_model(tokenizer: PreTrainedTokenizerFast) -> None:
    engine = tiny(tokenizer)
    found = {}
    for quantizer in (Quantizer.NF4_DQ, Quantizer.NF4, Quantizer.Q4_0, Quantizer.INT8, Quantizer.Q8_0):
        with closing(doses(engine, quantizer)) as attacked:
            found[quantizer.value] = next(attacked).value
    assert found["nf4"] == found["q4_0"] == 4.5
    # Double quantization stores a block's scale in one byte, and 32 bits for each 256 of these.
    assert 4.125 < found["nf4-dq"] < 4.13
    assert 8 < found["int8"] < found["q8_0"] == 8.5


def test_the_order_in_a_spec_changes_nothing() -> None:
    made = attack(quantizers=("q8_0", "q4_0", "nf4"))
    assert [each.name for each in made.arms(context())] == ["nf4", "q4_0", "q8_0"]


def test_int8_says_nothing_of_its_casts_and_others_may_speak(
    tokenizer: PreTrainedTokenizerFast, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("bitsandbytes.autograd._functions")
    filters = list(logger.filters)
    # Libraries that other tests import may have silenced loggers.
    monkeypatch.setattr(logging.root.manager, "disable", logging.NOTSET)
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    with (
        caplog.at_level(logging.WARNING, logger=logger.name),
        closing(doses(tiny(tokenizer), Quantizer.INT8)) as attacked,
    ):
        dose = next(attacked)
        logits(dose.model.module)
        assert not [record for record in caplog.records if "MatMul8bitLt" in record.getMessage()]
        logger.warning("something else")
        layer = dose.model.module.get_submodule("model.layers.0.mlp.down_proj")
        with pytest.raises(RuntimeError):
            layer(torch.zeros(1, 3))
        assert logger.filters == filters
    assert [record.getMessage() for record in caplog.records] == ["something else"]


def test_a_named_quantizer_runs_by_its_arm() -> None:
    (only,) = attack(quantizers=("q5_1",)).arms(context())
    assert only == arm(Quantizer.Q5_1)
