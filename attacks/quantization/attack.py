"""Quantization: rounding the weights recovers what small updates had hidden (2410.16454).

The owner does this before serving, so it also affects users of the API. bitsandbytes and llama.cpp's formats are
always available; HQQ, torchao and GPTQModel if their extra is installed. Every dose carries a proof that its
weights were rounded, and is on one axis: bits per weight, including its share of the scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    AttackError,
    Dose,
    Json,
    Model,
    OutOfReach,
    Parameters,
    Planting,
    Profile,
)
from unlearn_audit.api.kit.training.lora import without_adapter

from ..shared.linear_layers import plain_model
from .backends import missing, quantize
from .calibration import Calibration, calibration
from .formats import Backend, Quantizer, of_profile
from .layers.gptq import GptqSettings
from .plant import rounding_planting

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Key of `AttackContext.prepared`: true where the checkpoint is an adapter, so that every role gets both doses.
ADAPTER_DOSES = "adapter_doses"


class QuantizationParameters(Parameters):
    """Which quantizers, and how those of GPTQModel are calibrated."""

    quantizers: tuple[Quantizer, ...] | None = Field(
        None,
        min_length=1,
        description="Which quantizers; by profile if absent (see above).",
    )
    importance_matrix: bool = Field(
        False, description="Whether K- and I-quants weigh errors by an importance matrix from the calibration texts."
    )
    gptq_calibration: Literal["generic", "retain"] = Field(
        "generic", description="Calibration data of GPTQ and AWQ: neutral text from the package, or retain facts."
    )
    gptq_samples: int | None = Field(
        None,
        ge=1,
        le=512,
        description="Most windows of calibration text; if absent 128 on a GPU and 32 on a CPU.",
    )
    gptq_tokens: int | None = Field(
        None,
        ge=8,
        description="Tokens of such a window, or as many as the model reads; if absent 2,048 on a GPU, 512 on a CPU.",
    )
    gptq_group_size: Literal[32, 64, 128] = Field(
        128, description="Weights per scale in GPTQ and AWQ; halved until it divides the width of every layer."
    )
    gptq_budget_seconds: float = Field(4 * 3600.0, gt=0, description="Time limit for one run of GPTQ or AWQ.")


class Quantization(Attack[QuantizationParameters]):
    """Rounds the weights with several quantizers, one arm and one dose each.

    The dose is the bits per weight in the linear layers, including scales (NF4, FP4 and Q4_0: 4.5, Q8_0: 8.5).
    `quick`: nf4, int8 (bitsandbytes), q4_0 (GGUF). `standard` adds fp4, q8_0, hqq-4bit, gptq-4bit and awq-4bit;
    `deep` runs the whole list, with mxfp4 (as llama.cpp rounds to it), fp8 (E4M3, a scale for each row) and llama.cpp's
    own K- and I-quants (the extra `llama-cpp`). The authors round to the nearest and run GPTQ and AWQ, at 4 and 8 bits.
    We depart as follows: "4 bits" is several quantizers, which recover different things, so each is named; each is
    verified to have rounded; and all matrices of the blocks are rounded, linear layers and experts that are stored as
    one stack, which transformers would leave alone on loading: embeddings, norms and the output layer are unchanged in
    every format (llama.cpp's tool also rounds embeddings).

    bitsandbytes computes with its own layers where the model calls a plain linear layer. Elsewhere (experts, layers of
    an architecture's own, weights that are read without a call), and in all other formats, the model computes with the
    weights that the codes represent. A checkpoint that is a GGUF file is rounded once more, from the values in the
    file: the unattacked baseline is what the file serves.

    An adapter checkpoint is rounded both ways: dose `nf4` is merged, then rounded; dose `nf4+adapter` is the rounded
    base with the adapter on top. The second exists in every role or in none (a finding compares doses across roles):
    it exists if `prepared["adapter_doses"]` is true; for a model without an adapter it then equals the first.

    Every format whose rounding is local has a plant of its own: a refusal inside the boxes in which the original's
    weights round to the same values. At five bits and more, boxes hide nothing; there the original is first written so
    that it computes the same with coarser grids, as a checkpoint's maker could. HQQ, GPTQ and AWQ look at more than a
    weight's own block, K- and I-quants search for their scales: there is nothing known that they undo, and no plant.

    A quantizer that is requested by name but not installed is an ERROR of its cell; one that only the profile
    would add is skipped, and the report says so.
    """

    name: ClassVar[str] = "quantization"
    summary: ClassVar[str] = (
        "Rounds the weights (NF4, FP4, LLM.int8, FP8, GGUF, HQQ, torchao, GPTQ, AWQ) as an owner does before serving."
    )
    paper: ClassVar[str] = "2410.16454"
    access: ClassVar[Access] = Access.PROMPTS
    dose_unit: ClassVar[str] = "bits a weight"
    served: ClassVar[bool] = True
    Parameters: ClassVar[type[Parameters]] = QuantizationParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm per quantizer, bitsandbytes' first."""
        left_out = dict(self._left_out(context))
        return tuple(
            Arm(name=quantizer.value, settings=self._settings(quantizer))
            for quantizer in self._quantizers(context)
            if quantizer not in left_out
        )

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Quantizers in the profile that are not installed."""
        return tuple(OutOfReach(what=quantizer.value, why=why) for quantizer, why in self._left_out(context))

    def sparingly(self, profile: Profile) -> Quantization:
        """The two formats that a policy requires, as far as they are installed."""
        there = tuple(one for one in (Quantizer.NF4, Quantizer.INT8) if missing(one) is None)
        return Quantization(QuantizationParameters(quantizers=there or (Quantizer.NF4,)))

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A refusal inside the rounding boxes of this arm's quantizer; none if the boxes are not known."""
        return rounding_planting(Quantizer(str(arm.settings["quantizer"])))

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The quantized model; a second time with the adapter on top if the plan asks for it.

        Raises:
            AttackError: the backend is not installed, or did not quantize.
        """
        quantizer = Quantizer(str(arm.settings["quantizer"]))
        reason = missing(quantizer)
        if reason is not None:
            raise AttackError(f"{quantizer.value} was requested, but {reason}")
        read = self._calibration(model, quantizer, context)
        with model.merged() as fork:
            bits, made = self._quantize(fork, plain_model(fork.module), quantizer, read.windows, context)
            yield Dose(
                label=quantizer.value,
                value=bits,
                model=fork,
                proof=made,
                shown=read.texts,
                dropped=read.dropped,
            )
        if context.prepared.get(ADAPTER_DOSES) is not True:
            return
        with model.fork() as fork, model.fork() as spare:
            # Unloading takes the adapter out of the module that it is called on: a fork made for that.
            whole = without_adapter(spare.module) if spare.is_adapter else spare.module
            bits, made = self._quantize(fork, plain_model(whole), quantizer, read.windows, context)
            yield Dose(
                label=f"{quantizer.value}+adapter",
                value=bits,
                model=fork,
                proof=made,
                shown=read.texts,
                dropped=read.dropped,
            )

    def _calibration(self, model: Model, quantizer: Quantizer, context: AttackContext) -> Calibration:
        """The calibration texts, without those that give a forget fact away; none where nothing is calibrated."""
        if not (quantizer.is_calibrated or self._is_weighed(quantizer)):
            return Calibration()
        chosen = self.parameters
        retain = context.retain if chosen.gptq_calibration == "retain" else None
        return calibration(model, context.forget, retain, windows=chosen.gptq_samples, tokens=chosen.gptq_tokens)

    def _is_weighed(self, quantizer: Quantizer) -> bool:
        return self.parameters.importance_matrix and quantizer.backend is Backend.LLAMA_CPP

    def _quantize(
        self,
        fork: Model,
        whole: PreTrainedModel,
        quantizer: Quantizer,
        texts: tuple[str, ...],
        context: AttackContext,
    ) -> tuple[float, dict[str, Json]]:
        """The dose and its proof."""
        chosen = self.parameters
        settings = GptqSettings(
            method=quantizer.value.partition("-")[0],
            bits=quantizer.code_bits,
            group_size=chosen.gptq_group_size,
            texts=texts,
            budget_seconds=chosen.gptq_budget_seconds,
        )
        made = quantize(fork, whole, quantizer, context, calibration=settings)
        calibrated: dict[str, Json] = {"calibration": chosen.gptq_calibration} if quantizer.is_calibrated else {}
        return float(str(made["bits_per_weight"])), {**made, **calibrated}

    def _quantizers(self, context: AttackContext) -> tuple[Quantizer, ...]:
        """In the order of the enumeration, so that a spec's order changes no key."""
        wanted = self.parameters.quantizers
        if wanted is None:
            return of_profile(context.profile)
        return tuple(quantizer for quantizer in Quantizer if quantizer in wanted)

    def _left_out(self, context: AttackContext) -> list[tuple[Quantizer, str]]:
        """Quantizers that were not requested by name and cannot run, with the reason."""
        if self.parameters.quantizers is not None:
            return []
        reasons = ((quantizer, missing(quantizer)) for quantizer in self._quantizers(context))
        return [(quantizer, reason) for quantizer, reason in reasons if reason is not None]

    def _settings(self, quantizer: Quantizer) -> dict[str, Json]:
        if not quantizer.is_calibrated:
            weighed: dict[str, Json] = {"importance_matrix": True} if self._is_weighed(quantizer) else {}
            return {"quantizer": quantizer.value, **weighed}
        chosen = self.parameters
        return {
            "quantizer": quantizer.value,
            "calibration": chosen.gptq_calibration,
            "windows": chosen.gptq_samples,
            "tokens": chosen.gptq_tokens,
            "largest_group_size": chosen.gptq_group_size,
        }
