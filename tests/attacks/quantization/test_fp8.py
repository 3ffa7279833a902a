"""FP8 by its own definition, and bit for bit what the library gives that serves it."""

from __future__ import annotations

import math

import pytest
import torch
from unlearn_audit.attacks.quantization.layers.fp8 import rounded


def weights() -> torch.Tensor:
    return torch.randn(16, 64, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 2, 16)[:, None]


def by_definition(value: float, largest: float) -> float:
    """The nearest of E4M3: four bits of exponent, three of mantissa, the largest 448 (2209.05433, table 1)."""
    scaled = value / (largest / 448)
    exponent = max(-6, math.floor(math.log2(abs(scaled)))) if scaled else -6
    step = 2.0 ** (exponent - 3)
    return round(scaled / step) * step * (largest / 448)  # round() takes ties to even, as the format does


def test_values_are_those_of_the_format():
    weight = weights()
    made = rounded(weight)
    for row, values in zip(weight.tolist(), made.weight.tolist(), strict=True):
        largest = max(map(abs, row))
        assert values == pytest.approx([by_definition(value, largest) for value in row], rel=1e-5)
    assert made.stored_bytes == 16 * 64 + 4 * 16


def test_a_row_of_zeros_stays():
    assert not rounded(torch.zeros(2, 32)).weight.any()


def test_values_are_those_of_compressed_tensors():
    library = pytest.importorskip("compressed_tensors.quantization")
    from compressed_tensors.quantization.utils import calculate_qparams

    kind, strategy = library.QuantizationType.FLOAT, library.QuantizationStrategy.CHANNEL
    settings = library.QuantizationArgs(num_bits=8, type=kind, strategy=strategy, symmetric=True)
    weight = weights()
    scale, zero = calculate_qparams(weight.amin(1, keepdim=True), weight.amax(1, keepdim=True), settings)
    assert torch.equal(library.fake_quantize(weight, scale, zero, settings), rounded(weight).weight)
