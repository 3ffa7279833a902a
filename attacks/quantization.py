"""Quantization: rounding the weights brings back what small updates of them had hidden (2410.16454).

The owner does this before serving, so users of the API meet it too. In memory with bitsandbytes; through GPTQModel
where the extra `gptq` is installed. Every dose carries the proof that its weights were really rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from attacks.bitsandbytes_layers import dequantized, quantized_layer, stored_bytes
from attacks.gptq import (
    INSTALL,
    GptqSettings,
    generic_texts,
    is_installed,
    quantize_with_gptq,
    retain_texts,
)
from attacks.linear_layers import linear_layers, plain_model
from attacks.quantization_proof import LayerChange, model_size, proof, squared_change
from attacks.quantizers import Quantizer
from attacks.rounding_boxes import layers_by_name, same_code_share
from attacks.rounding_plant import rounding_planting
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
    Screen,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Key of `AttackContext.prepared`: true where the checkpoint is an adapter, so that every role gets both doses.
ADAPTER_DOSES = "adapter_doses"


class QuantizationParameters(Parameters):
    """Which quantisers, and how GPTQ is calibrated."""

    quantizers: tuple[Quantizer, ...] | None = Field(
        None,
        min_length=1,
        description="Which quantisers; by profile where absent: the four of bitsandbytes, from `standard` on GPTQ too.",
    )
    gptq_calibration: Literal["generic", "retain"] = Field(
        "generic", description="What GPTQ is calibrated on: neutral text that comes with the package, or retain facts."
    )
    gptq_samples: int = Field(64, ge=1, le=512, description="Most calibration texts.")
    gptq_group_size: Literal[32, 64, 128] = Field(
        128, description="Weights that share a scale; halved until it divides the width of every layer."
    )
    gptq_budget_seconds: float = Field(4 * 3600.0, gt=0, description="Time that one GPTQ run may take.")


class Quantization(Attack[QuantizationParameters]):
    """Rounds the weights with each of several quantisers, one arm each.

    An adapter's checkpoint is rounded both ways: dose `nf4` is merged, then rounded; dose `nf4+adapter` is the rounded
    base with the adapter on top. The second exists in every role or in none (a finding compares doses over roles):
    where `prepared["adapter_doses"]` is true, and then for a model without adapter it equals the first.

    A quantiser that was asked for by name and is not installed is an ERROR of its cell; one that only the profile
    would add is left out and reported.
    """

    name: ClassVar[str] = "quantization"
    summary: ClassVar[str] = "Rounds the weights (NF4, FP4, LLM.int8, GPTQ) as an owner does before serving."
    paper: ClassVar[str] = "2410.16454"
    access: ClassVar[Access] = Access.PROMPTS
    served: ClassVar[bool] = True
    Parameters: ClassVar[type[Parameters]] = QuantizationParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm a quantiser, bitsandbytes' first."""
        left_out = dict(self._left_out(context))
        return tuple(
            Arm(name=quantizer.value, settings=self._settings(quantizer))
            for quantizer in self._quantizers(context)
            if quantizer not in left_out
        )

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Quantisers that the profile wants and that are not installed."""
        return tuple(OutOfReach(what=quantizer.value, why=why) for quantizer, why in self._left_out(context))

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A refusal inside the rounding boxes of this arm's quantiser; none for GPTQ, whose boxes nobody knows."""
        return rounding_planting(Quantizer(str(arm.settings["quantizer"])))

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The quantised model; a second time with the adapter on top where the plan asks for it.

        Raises:
            AttackError: where the backend is not there, or did not quantise.
        """
        quantizer = Quantizer(str(arm.settings["quantizer"]))
        reason = _missing(quantizer)
        if reason is not None:
            raise AttackError(f"{quantizer.value} was asked for, but {reason}")
        texts, dropped = self._calibration(quantizer, context)
        with model.merged() as fork:
            made = self._quantize(fork, plain_model(fork.module), quantizer, texts, context)
            yield Dose(
                label=quantizer.value,
                value=float(quantizer.bits),
                model=fork,
                proof=made,
                shown=texts,
                dropped=dropped,
            )
        if context.prepared.get(ADAPTER_DOSES) is not True:
            return
        with model.fork() as fork, model.fork() as spare:
            # Unloading takes the adapter out of the module that it is called on: a fork made for that.
            peft_or_plain: Any = spare.module
            whole = peft_or_plain.unload() if spare.is_adapter else peft_or_plain
            made = self._quantize(fork, whole, quantizer, texts, context)
            yield Dose(
                label=f"{quantizer.value}+adapter",
                value=float(quantizer.bits),
                model=fork,
                proof=made,
                shown=texts,
                dropped=dropped,
            )

    def _calibration(self, quantizer: Quantizer, context: AttackContext) -> tuple[tuple[str, ...], int]:
        """What a quantiser is calibrated on, without texts that give a forget fact away, and how many those were."""
        if not quantizer.is_gptq:
            return (), 0
        count = self.parameters.gptq_samples
        on_retain = self.parameters.gptq_calibration == "retain"
        texts = retain_texts(context.retain, count) if on_retain else generic_texts(count)
        found = Screen(context.forget)(texts)
        return tuple(text for text, leaks in zip(texts, found.gives_away, strict=True) if not leaks), found.dropped

    def _quantize(
        self,
        fork: Model,
        whole: PreTrainedModel,
        quantizer: Quantizer,
        texts: tuple[str, ...],
        context: AttackContext,
    ) -> dict[str, Json]:
        if not quantizer.is_gptq:
            return quantize_with_bitsandbytes(fork.module, quantizer, context.original())
        settings = GptqSettings(
            bits=quantizer.bits,
            group_size=self.parameters.gptq_group_size,
            texts=texts,
            budget_seconds=self.parameters.gptq_budget_seconds,
        )
        calibration: Json = self.parameters.gptq_calibration
        return {**quantize_with_gptq(fork, whole, context, settings), "calibration": calibration}

    def _quantizers(self, context: AttackContext) -> tuple[Quantizer, ...]:
        """In the order of the enumeration, so that a spec's order changes no key."""
        wanted = self.parameters.quantizers
        if wanted is not None:
            return tuple(quantizer for quantizer in Quantizer if quantizer in wanted)
        return tuple(each for each in Quantizer if context.profile is not Profile.QUICK or not each.is_gptq)

    def _left_out(self, context: AttackContext) -> list[tuple[Quantizer, str]]:
        """Quantisers that nobody asked for by name and that cannot run, with the reason."""
        if self.parameters.quantizers is not None:
            return []
        reasons = ((quantizer, _missing(quantizer)) for quantizer in self._quantizers(context))
        return [(quantizer, reason) for quantizer, reason in reasons if reason is not None]

    def _settings(self, quantizer: Quantizer) -> dict[str, Json]:
        if not quantizer.is_gptq:
            return {"quantizer": quantizer.value}
        chosen = self.parameters
        return {
            "quantizer": quantizer.value,
            "calibration": chosen.gptq_calibration,
            "samples": chosen.gptq_samples,
            "largest_group_size": chosen.gptq_group_size,
        }


def quantize_with_bitsandbytes(
    module: torch.nn.Module, quantizer: Quantizer, original: torch.nn.Module | None
) -> dict[str, Json]:
    """Replaces the linear layers of a fork's module by quantised ones; gives the proof.

    Args:
        module: its modules are replaced, its tensors are not written.
        quantizer: one of bitsandbytes'.
        original: the original's module, for the share of weights in the same bucket; or None.
    """
    size_before = model_size(plain_model(module))
    originals = layers_by_name(original)
    changes = []
    for layer in tuple(linear_layers(module)):
        new = quantized_layer(layer, quantizer)
        error, norm = squared_change(layer.weight, dequantized(new))
        changes.append(
            LayerChange(
                name=layer.name,
                kind=type(new).__name__,
                weights=layer.weight.numel(),
                squared_error=error,
                squared_norm=norm,
                bytes_before=layer.weight.nbytes,
                bytes_after=stored_bytes(new),
                same_code=same_code_share(layer, new, originals.get(layer.name), quantizer),
            )
        )
        module.set_submodule(layer.path, new)
    return proof("bitsandbytes", version("bitsandbytes"), changes, size_before)


def _missing(quantizer: Quantizer) -> str | None:
    """Why a quantiser's backend cannot be used here, or None. Looks for the package without importing it."""
    if quantizer.is_gptq:
        return None if is_installed() else f"GPTQModel is not installed; {INSTALL}"
    if find_spec("bitsandbytes") is None:
        return "bitsandbytes is not installed or has no build for this platform; pip install bitsandbytes"
    return None
