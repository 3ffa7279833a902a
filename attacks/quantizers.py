"""The quantisers by name. "4-bit" alone names none: FP4 and NF4 round the same weight to different values."""

from __future__ import annotations

from enum import StrEnum


class Quantizer(StrEnum):
    """What rounds the weights."""

    NF4 = "nf4"
    NF4_DQ = "nf4-dq"
    FP4 = "fp4"
    INT8 = "int8"
    GPTQ_4BIT = "gptq-4bit"
    GPTQ_8BIT = "gptq-8bit"

    @property
    def bits(self) -> int:
        """Bits of a weight's code, without its share of the block's scale."""
        return 8 if self in (Quantizer.INT8, Quantizer.GPTQ_8BIT) else 4

    @property
    def is_gptq(self) -> bool:
        """Calibrated on text and run by GPTQModel; the others are bitsandbytes' and need no text."""
        return self in (Quantizer.GPTQ_4BIT, Quantizer.GPTQ_8BIT)
