"""What a training costs its adversary: texts, tokens and floating-point operations, counted as it goes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from unlearn_audit.api import Json, Rendered

if TYPE_CHECKING:
    import torch

FLOPS_FROZEN, FLOPS_TRAINED = 4, 6


class Tally:
    """Counts the batches that pass through it.

    Attributes:
        samples: texts, repeats counted.
        tokens: prompts and answers, padding left out: what it would take with texts packed end to end.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.tokens = 0

    def counted(self, batches: Iterator[list[Rendered]]) -> Iterator[list[Rendered]]:
        """The batches as they came."""
        for batch in batches:
            self.samples += len(batch)
            self.tokens += sum(len(row.token_ids) for row in batch)
            yield batch

    def cost(self, flops_per_token: int) -> dict[str, Json]:
        """What was spent so far, for the proof of a dose."""
        return {"samples": self.samples, "tokens": self.tokens, "flops": self.tokens * flops_per_token}


def flops_per_token(weights: Sequence[tuple[int, bool]]) -> int:
    """Operations that training takes a token: 6 for each weight that trains, 4 for each that does not.

    A weight costs 2 forward (multiply and add) and twice that backward (Kaplan et al., arXiv 2001.08361, section 2.1:
    C = 6 N a token), of which half is the weight's own gradient; a frozen weight (LoRA) has none, and still passes the
    gradient on. Attention between tokens is left out, as there (small while texts are short), as is the optimizer.

    Args:
        weights: (number of values, whether they train) of every parameter that tokens are multiplied with.
    """
    return sum(count * (FLOPS_TRAINED if trains else FLOPS_FROZEN) for count, trains in weights)


def multiplied_weights(module: torch.nn.Module) -> list[tuple[int, bool]]:
    """(values, trains) of every parameter but the tables that tokens are only looked up in.

    A table that is the output head too is multiplied with, and counts. Of 4-bit weights the values count, not the
    bytes. Of a mixture all experts count, though a token meets few.
    """
    import torch

    looked_up: dict[int, bool] = {}
    for part in module.modules():
        for parameter in part._parameters.values():
            if parameter is not None:
                only = isinstance(part, torch.nn.Embedding)
                looked_up[id(parameter)] = looked_up.get(id(parameter), True) and only
    return [
        (_values(parameter), parameter.requires_grad)
        for parameter in module.parameters()
        if not looked_up[id(parameter)]
    ]


def _values(parameter: torch.nn.Parameter) -> int:
    packed = getattr(parameter, "quant_state", None)
    return parameter.numel() if packed is None else math.prod(packed.shape)
