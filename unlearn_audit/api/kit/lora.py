"""Low-rank adapters on a model's linear layers, for attacks, plants, and a benign fine-tune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearn_audit.errors import AttackError

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, LoraModel

ADAPTER_NAME = "attack"


def lora_config(module: torch.nn.Module, rank: int) -> LoraConfig:
    """An adapter on every linear layer but the output head; alpha is twice the rank, and nothing is dropped out."""
    from peft import LoraConfig
    from transformers.pytorch_utils import Conv1D

    transposed = any(isinstance(part, Conv1D) for part in module.modules())
    return LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", fan_in_fan_out=transposed
    )


def add_lora(module: torch.nn.Module, *, rank: int, seed: int) -> LoraModel:
    """Puts an adapter into `module` itself; the tuner that comes back can merge it.

    Raises:
        AttackError: PEFT finds no linear layer that it knows.
    """
    import torch
    from peft import LoraModel

    config = lora_config(module, rank)
    if hasattr(module, "peft_config"):
        del module.peft_config  # left behind by a merge; PEFT would take it for a second adapter
    # PEFT initializes on the CPU from the global generator: lend it one, and give the caller's back.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            tuner = LoraModel(module, config, ADAPTER_NAME)
        except (ValueError, TypeError, NotImplementedError, AttributeError) as error:
            raise AttackError(
                f"lora cannot be put on {type(module).__name__}: {error}; try the method full, if it fits"
            ) from error
    trainable = [weight for weight in module.parameters() if weight.requires_grad]
    if not trainable:
        raise AttackError(f"lora found no linear layer in {type(module).__name__}; try the method full, if it fits")
    for weight in trainable:
        weight.data = weight.data.float()
    module.eval()
    return tuner
