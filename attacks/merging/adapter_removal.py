"""Adapter removal: takes off the adapter that unlearning was trained into, and tests the base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, ClassVar, cast

from pydantic import Field

from unlearn_audit import api
from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    AttackError,
    Dose,
    Json,
    Model,
    NotApplicableError,
    OutOfReach,
    Plant,
    Planting,
    Profile,
)
from unlearn_audit.api.kit.training.lora import lora_config, without_adapter

from ..shared.descent.adapters import scale_adapter
from ..shared.hiding import Copy
from ..shared.refusal_plant import refusal_plant
from ..shared.training import own_parameters

SHARES = {Profile.QUICK: (1.0,), Profile.STANDARD: (0.5, 1.0), Profile.DEEP: (0.25, 0.5, 0.75, 1.0)}


class AdapterRemovalParameters(api.Parameters):
    """How much of the adapter is removed. None follows the profile."""

    shares: tuple[float, ...] | None = Field(
        None, min_length=1, description="Doses, rising, in (0, 1]: how much of the adapter's update is removed."
    )


class AdapterRemoval(Attack[AdapterRemovalParameters]):
    """Takes an adapter off its base, completely or in part.

    A checkpoint that is published as an adapter on a base also gives away the base; whatever only the adapter hides
    is easy to get. A share of 1 is the base alone; at 0.5 each weight is halfway between merged and base.
    Anyone who loads the base takes the adapter off; scaling an update is task arithmetic (2212.04089).

    A model in another role that is not an adapter has nothing to take off; it is measured as it is, and the proof says
    so. If the checkpoint under audit is not an adapter, the attack is skipped. `quick` removes all of it, `standard`
    half and all, `deep` quarter by quarter.
    """

    name: ClassVar[str] = "adapter-removal"
    summary: ClassVar[str] = "Takes off the adapter of an adapter checkpoint, completely or in part."
    paper: ClassVar[str] = "2212.04089"
    access: ClassVar[Access] = Access.WEIGHTS
    dose_unit: ClassVar[str] = "share of the adapter removed"
    Parameters: ClassVar[type[api.Parameters]] = AdapterRemovalParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm."""
        return [Arm(name="adapter", doses=len(self._shares(context)))]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Everything, if the checkpoint under audit is not an adapter."""
        if is_adapter:
            return ()
        return (OutOfReach(what="adapter", why="the checkpoint is not an adapter", applies=False),)

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A refusal in an adapter that is left on top of the original."""
        return Planting(name="adapter", kind="adapter", make=_from_context)

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model with less and less of its adapter."""
        for share in self._shares(context):
            label = f"off {share:g}"
            if not model.is_adapter:
                yield Dose(
                    label=label, value=share, model=model, proof={"taken off": "nothing: the model is not an adapter"}
                )
                continue
            with _without_adapter(model, share) as (fork, moved):
                yield Dose(label=label, value=share, model=fork, proof={"share": share, "tensors_changed": moved})

    def _shares(self, context: AttackContext) -> tuple[float, ...]:
        return self.parameters.shares or SHARES[context.profile]


@contextmanager
def _without_adapter(model: Model, share: float) -> Iterator[tuple[Model, int]]:
    """The plain model that stands `share` of the way from merged to base, and how many tensors that moved.

    Raises:
        NotApplicableError: the adapter is more than changed weights, or changes none.
        AttackError: it cannot be merged or taken off.
    """
    import torch

    with ExitStack() as stack:
        with torch.inference_mode(mode=False), torch.no_grad():
            try:
                whole = stack.enter_context(model.merged())
                spare = stack.enter_context(model.fork())
                base = without_adapter(spare.module)
            except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
                raise AttackError(f"this adapter cannot be merged and taken off: {error}") from error
            below = dict(base.named_parameters(remove_duplicate=False))  # what was tied need not be now
            moved = 0
            for name, weight in whole.module.named_parameters():
                other = below.get(name)
                if other is None or other.shape != weight.shape:
                    raise NotApplicableError(
                        f"the base has no {name} of shape {tuple(weight.shape)}; the adapter is not plain"
                    )
                if not weight.is_floating_point():
                    raise AttackError(f"{name} holds {weight.dtype} codes; give a base that is not quantized (--base)")
                if not torch.equal(weight, other):
                    moved += 1
                    weight.data = torch.lerp(weight.float(), other.float(), share).to(weight.dtype)
        if not moved:
            raise NotApplicableError("the adapter changes no weight of its base; there is nothing to take off")
        yield whole, moved


def _from_context(original: Model, context: AttackContext) -> AbstractContextManager[Plant]:
    return refusal_plant(original, context.forget, context.retain, seed=context.seed, trained=refusing_adapter)


@contextmanager
def refusing_adapter(original: Model, *, rank: int, seed: int) -> Iterator[Copy]:
    """The original under a fresh adapter in training; the base below shares its weights and stays as it is."""
    import torch
    from peft import get_peft_model

    with ExitStack() as stack:
        with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):
            source = stack.enter_context(original.merged()) if original.is_adapter else original
            fork = stack.enter_context(source.fork())
            own_parameters(fork.module)
            if fork.device.type == "cpu":
                fork.module.float()
            config = lora_config(fork.module, rank)
            torch.default_generator.manual_seed(api.derive_seed(seed, "plant adapter"))
            module = get_peft_model(cast("Any", fork.module), config).eval()
            scale_adapter(module)
        model = fork.with_module(module)

        def finished() -> tuple[Model, dict[str, Json]]:
            return fork.with_module(module.requires_grad_(requires_grad=False)), {"rank": rank}

        yield Copy(model=model, after_step=lambda: None, finished=finished)
