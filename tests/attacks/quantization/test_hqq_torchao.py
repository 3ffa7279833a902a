"""HQQ and torchao for real, on a tiny model: the library's function, proven, and no trace in the process."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import warnings
from contextlib import closing

import pytest
import torch
from transformers import PreTrainedTokenizerFast
from unlearn_audit.attacks.quantization.formats import Quantizer
from unlearn_audit.attacks.shared.linear_layers import LinearLayer, linear_layers

from tests.attacks.quantization.test_quantization import doses, logits, snapshot, tiny

needs_hqq, needs_torchao = pytest.mark.hqq, pytest.mark.torchao
HQQ = [Quantizer.HQQ_2BIT, Quantizer.HQQ_3BIT, Quantizer.HQQ_4BIT]
TORCHAO = [Quantizer.TORCHAO_INT4, Quantizer.TORCHAO_INT8]


def state_of_the_process() -> dict[str, object]:
    root = logging.getLogger()
    return {
        "environment": dict(os.environ),
        "logging": (root.level, tuple(root.handlers), logging.root.manager.disable),
        "torch": (torch.get_rng_state().tolist(), torch.get_num_threads(), torch.get_default_dtype()),
        "compiler": torch._inductor.config.save_config_portable() if "_inductor" in dir(torch) else None,
        "threads": threading.active_count(),
        "warnings": list(warnings.filters),
    }


def plain_linear(layer: LinearLayer) -> torch.nn.Linear:
    """An `nn.Linear` of the layer's own numbers, whatever it is in the model."""
    linear = torch.nn.Linear(*reversed(layer.weight.shape), bias=layer.bias is not None)
    linear.weight.data = layer.weight.clone()
    linear.bias = None if layer.bias is None else torch.nn.Parameter(layer.bias)
    return linear


@needs_hqq
@pytest.mark.parametrize("quantizer", HQQ)
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_hqq_gives_its_own_layers_function(
    tokenizer: PreTrainedTokenizerFast, quantizer: Quantizer, architecture: str
) -> None:
    from unlearn_audit.attacks.quantization.layers.hqq import GROUP_SIZE, rounded

    engine = tiny(tokenizer, architecture)
    assert rounded(torch.ones(3, GROUP_SIZE), 4) is None
    rounded(torch.ones(4, GROUP_SIZE), 4)  # the import itself is not the attack's: transformers does it
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    before, process = snapshot(engine.module), state_of_the_process()
    with engine.fork() as reference, closing(doses(engine, quantizer)) as attacked:
        dose = next(attacked)
        found = logits(dose.model.module)
        assert state_of_the_process() == process
        for layer in tuple(linear_layers(reference.module)):
            linear = plain_linear(layer)
            config = BaseQuantizeConfig(nbits=quantizer.code_bits, group_size=GROUP_SIZE, axis=1)
            made = HQQLinear(linear, config, compute_dtype=torch.float16, device="cpu")
            made.compute_dtype = torch.float32
            reference.module.set_submodule(layer.path, _InFloat32(made))
        expected = logits(reference.module)
        assert (found - expected).norm() < 2e-3 * expected.norm()
        assert (expected - logits(engine.module)).norm() > 0.01 * expected.norm()
    assert snapshot(engine.module) == before
    assert dose.proof["layer_types"] == {"HQQLinear": 14 if architecture == "llama" else 8}
    # Codes (three bits: ten in 32, padded), and scale and zero point in half precision for each 64.
    packed = {2: 2.0, 3: 3.2, 4: 4.0}[quantizer.code_bits]
    assert dose.value == pytest.approx(packed + 2 * 16 / GROUP_SIZE, abs=0.06)


class _InFloat32(torch.nn.Module):
    """HQQ's layer, multiplying in float32 what it stores in half precision."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        bias = self.layer.bias
        return torch.nn.functional.linear(
            inputs, self.layer.dequantize().float(), None if bias is None else bias.float()
        )


@needs_torchao
@pytest.mark.parametrize("quantizer", TORCHAO)
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_torchao_gives_its_own_tensors_function(
    tokenizer: PreTrainedTokenizerFast, quantizer: Quantizer, architecture: str
) -> None:
    from unlearn_audit.attacks.quantization.layers.torchao import rounded

    engine = tiny(tokenizer, architecture)
    rounded(torch.ones(1, 32), quantizer)
    from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerGroup

    four = quantizer is Quantizer.TORCHAO_INT4
    config = (
        IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32))
        if four
        else Int8WeightOnlyConfig(set_inductor_config=False)
    )
    before, process = snapshot(engine.module), state_of_the_process()
    with engine.fork() as reference, closing(doses(engine, quantizer)) as attacked:
        dose = next(attacked)
        found = logits(dose.model.module)
        assert state_of_the_process() == process
        for layer in tuple(linear_layers(reference.module)):
            linear = plain_linear(layer)
            holder = torch.nn.Sequential(linear)
            quantize_(holder, config)
            reference.module.set_submodule(layer.path, holder[0])
        expected = logits(reference.module)
        assert (found - expected).norm() < 1e-4 * expected.norm()
        assert (expected - logits(engine.module)).norm() > 1e-3 * expected.norm()
    assert snapshot(engine.module) == before
    # A scale in float32 and a zero point in a byte, for each 32 or for a row.
    assert dose.value == 5.25 if four else 8.2 < dose.value < 8.35


# The attack's first use in a process that has loaded transformers, as every audit has.
FIRST_USE = """
import logging, os, sys, torch, transformers
from unlearn_audit.attacks.shared.linear_layers import plain_model
from unlearn_audit.attacks.quantization.formats import Quantizer
from unlearn_audit.attacks.quantization.layers.torchao import rounded
transformers.LlamaForCausalLM
def state():
    root = logging.getLogger()
    return dict(os.environ), root.level, root.handlers[:], logging.root.manager.disable, torch.get_rng_state().tolist()
before = state()
assert rounded(torch.ones(2, 64), Quantizer.TORCHAO_INT8).weight.shape == (2, 64)
assert state() == before, [one for one, other in zip(state(), before) if one != other]
"""


@needs_torchao
def test_the_first_use_of_torchao_leaves_the_process_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
