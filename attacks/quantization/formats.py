"""The quantizers by name. "4-bit" alone names none: FP4, NF4 and Q4_0 round the same weight to different values."""

from __future__ import annotations

from enum import StrEnum

from unlearn_audit.api import Profile


class Backend(StrEnum):
    """The package that quantizes; its name on PyPI and the name of its module."""

    BITSANDBYTES = "bitsandbytes"
    GGUF = "gguf"
    HQQ = "hqq"
    TORCHAO = "torchao"
    GPTQMODEL = "gptqmodel"
    TORCH = "torch"
    LLAMA_CPP = "llama_cpp"


class Quantizer(StrEnum):
    """What rounds the weights. The values are the names in a spec and the labels of the doses."""

    NF4 = "nf4"
    NF4_DQ = "nf4-dq"
    FP4 = "fp4"
    INT8 = "int8"
    Q4_0 = "q4_0"
    Q4_1 = "q4_1"
    Q5_0 = "q5_0"
    Q5_1 = "q5_1"
    Q8_0 = "q8_0"
    MXFP4 = "mxfp4"
    FP8 = "fp8"
    Q2_K = "q2_k"
    Q3_K = "q3_k"
    Q4_K = "q4_k"
    Q5_K = "q5_k"
    Q6_K = "q6_k"
    IQ4_XS = "iq4_xs"
    HQQ_2BIT = "hqq-2bit"
    HQQ_3BIT = "hqq-3bit"
    HQQ_4BIT = "hqq-4bit"
    TORCHAO_INT4 = "torchao-int4"
    TORCHAO_INT8 = "torchao-int8"
    GPTQ_4BIT = "gptq-4bit"
    GPTQ_8BIT = "gptq-8bit"
    AWQ_4BIT = "awq-4bit"

    @property
    def backend(self) -> Backend:
        """Whose code rounds."""
        return next((backend for prefix, backend in _BACKENDS.items() if self.value.startswith(prefix)), Backend.GGUF)

    @property
    def code_bits(self) -> int:
        """Bits of a weight's code, without its share of the block's scale."""
        return next(int(letter) for letter in self.value if letter.isdigit())

    @property
    def is_calibrated(self) -> bool:
        """Whether it needs texts to look at."""
        return self.backend is Backend.GPTQMODEL


_BACKENDS = {
    **dict.fromkeys(("nf4", "fp4", "int8"), Backend.BITSANDBYTES),
    "hqq": Backend.HQQ,
    "torchao": Backend.TORCHAO,
    **dict.fromkeys(("gptq", "awq"), Backend.GPTQMODEL),
    "fp8": Backend.TORCH,
    **dict.fromkeys(("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq"), Backend.LLAMA_CPP),
}

_QUICK = (Quantizer.NF4, Quantizer.INT8, Quantizer.Q4_0)
_STANDARD = (
    *_QUICK,
    *(Quantizer.FP4, Quantizer.Q8_0),
    *(Quantizer.HQQ_4BIT, Quantizer.GPTQ_4BIT, Quantizer.AWQ_4BIT),
)


def of_profile(profile: Profile) -> tuple[Quantizer, ...]:
    """What a profile runs where the spec names none: few in `quick`, no more than eight doses in `standard`."""
    wanted = {Profile.QUICK: _QUICK, Profile.STANDARD: _STANDARD}.get(profile, tuple(Quantizer))
    return tuple(quantizer for quantizer in Quantizer if quantizer in wanted)
