"""Adapters: low-rank ones put on a model's linear layers (attacks, plants, a benign fine-tune), and any taken off."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from unlearn_audit.errors import NotApplicableError

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, LoraModel

ADAPTER_NAME = "attack"


def lora_config(
    module: torch.nn.Module, rank: int, only: Sequence[str] | None = None, stacks: Sequence[str] = ()
) -> LoraConfig:
    """An adapter on every linear layer but the output head; alpha is twice the rank, and nothing is dropped out.

    Layers that PEFT does not allow in an architecture (what the fused kernels of Mamba read around) are left out.
    `only` names the layers by their paths, where not all are meant; `stacks` names parameters that are matrices of no
    linear layer (experts), each of which gets an update of this rank.
    """
    from peft import LoraConfig
    from transformers.pytorch_utils import Conv1D

    transposed = any(isinstance(part, Conv1D) for part in module.modules())
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules="all-linear" if only is None else list(only),
        fan_in_fan_out=transposed,
        target_parameters=list(stacks) or None,
    )
    config.exclude_modules = _forbidden(module, config) or None
    return config


def _forbidden(module: torch.nn.Module, config: LoraConfig) -> list[str]:
    """Last names of modules on which PEFT refuses to put an adapter in this architecture, and of routers.

    A router may give more than one tensor (Llama 4), which an adapter's layer cannot add to.
    """
    from peft.tuners import tuners_utils

    check = getattr(tuners_utils, "_check_lora_target_modules_mamba", None)
    found = []
    for name in sorted({name.rpartition(".")[2] for name, _ in module.named_modules() if name}):
        if name.endswith("router"):
            found.append(name)
            continue
        try:
            if check is not None:
                check(config, module, name)
        except ValueError:
            found.append(name)
    return found


def add_lora(
    module: torch.nn.Module, *, rank: int, seed: int, only: Sequence[str] | None = None, stacks: Sequence[str] = ()
) -> LoraModel:
    """Puts an adapter into `module` itself; the tuner that comes back can merge it. `only`, `stacks`: `lora_config`.

    Raises:
        NotApplicableError: PEFT finds no linear layer that it knows, or cannot wrap one.
    """
    import torch
    from peft import LoraModel

    config = lora_config(module, rank, only, stacks)
    # PEFT initializes on the CPU from the global generator: lend it one, and give the caller's back.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            with _as_it_is(module) if stacks else nullcontext():
                tuner = LoraModel(module, config, ADAPTER_NAME)
        except (ValueError, TypeError, NotImplementedError, AttributeError) as error:
            raise NotApplicableError(
                f"lora cannot be put on {type(module).__name__}: {error}; try the method full, if it fits"
            ) from error
    trainable = [weight for weight in module.parameters() if weight.requires_grad]
    if not trainable:
        raise NotApplicableError(
            f"lora found no linear layer in {type(module).__name__}; try the method full, if it fits"
        )
    for weight in trainable:
        weight.data = weight.data.float()
    module.eval()
    return tuner


@contextmanager
def _as_it_is(module: torch.nn.Module) -> Iterator[None]:
    """Keeps PEFT from taking the targets of a mixture for those of its layout in transformers 4, and rewriting them."""
    plain = module.config
    masked = copy.copy(plain)
    masked.model_type = ""  # type: ignore[union-attr]
    module.config = masked
    try:
        yield
    finally:
        module.config = plain


def without_adapter(module: torch.nn.Module) -> torch.nn.Module:
    """The base of an adapter's model, without anything that the adapter brought. Takes `module` apart.

    PEFT's own `unload` leaves the modules that an adapter trained whole (`modules_to_save`) in place of the base's.
    """
    from peft.utils.other import ModulesToSaveWrapper

    for name, part in list(module.named_modules()):
        if isinstance(part, ModulesToSaveWrapper):
            module.set_submodule(name, part.original_module)
    base: torch.nn.Module = module.unload()  # type: ignore[operator]
    return base
