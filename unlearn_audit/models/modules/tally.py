"""How many tokens went through a model: counted where they enter it, no matter what sent them.

An attack trains and searches with the module itself, and a probe looks inside it, so that no method of ours meets all
of that work. The count therefore hangs on the module: a hook before the forward pass of its body, which a fork takes
along and which an adapter does not go around. It looks at shapes alone, so that no device has to be waited for; what
fills up a batch is counted, because it is computed too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

_CACHES = ("past_key_values", "cache_params")
"""Under which names architectures are handed what they have read before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Numbers of tokens, padding included.

    Attributes:
        read: in passes over prompts, answers that are scored, and texts that are looked at.
        generated: in steps of one token a row, each behind what was read before.
        trained: in passes with gradients on: forward, and mostly backward as well.
    """

    read: int = 0
    generated: int = 0
    trained: int = 0

    def __sub__(self, other: Tokens) -> Tokens:
        """What was added since."""
        return Tokens(
            read=self.read - other.read,
            generated=self.generated - other.generated,
            trained=self.trained - other.trained,
        )


class Tally:
    """Counts the tokens of one loaded model, and of all that is made from it.

    Attributes:
        tokens: so far.
        heard_by: is called after each pass has been counted; a run that goes on tells so.
    """

    def __init__(self) -> None:
        self.tokens = Tokens()
        self.heard_by: Callable[[], None] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Tally:
        """Itself: a copy of a module is counted with what it was copied from."""
        return self

    def watch(self, module: torch.nn.Module) -> None:
        """Counts what goes through a module from now on, once however often it is asked to."""
        body = body_of(module)
        for number, hook in list(body._forward_pre_hooks.items()):
            owner = getattr(hook, "__self__", None)
            if owner is self:
                return
            if isinstance(owner, Tally):  # of an engine that had this module before
                del body._forward_pre_hooks[number]
                body._forward_pre_hooks_with_kwargs.pop(number, None)
        body.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: torch.nn.Module, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        shape = _shape(args, named)
        if shape is None:
            return
        rows, width = shape
        now, cached = self.tokens, any(named.get(name) is not None for name in _CACHES)
        trained = rows * width if torch.is_grad_enabled() else 0
        generated = rows if cached and width == 1 and not trained else 0
        self.tokens = Tokens(
            read=now.read + rows * width - trained - generated,
            generated=now.generated + generated,
            trained=now.trained + trained,
        )
        if self.heard_by is not None:
            self.heard_by()


def body_of(module: torch.nn.Module) -> torch.nn.Module:
    """The part that tokens enter, below any adapter and any head; the module itself where it names none."""
    find = getattr(module, "get_base_model", None)
    plain = find() if callable(find) else module
    body = getattr(plain, "base_model", plain)
    return body if isinstance(body, torch.nn.Module) else module


def _shape(args: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[int, int] | None:
    """Rows and positions of what is read; None where it is no batch of texts."""
    given = [named.get("input_ids"), named.get("inputs_embeds"), *args[:1]]
    found = next((one for one in given if isinstance(one, torch.Tensor)), None)
    return None if found is None or found.ndim < 2 else (int(found.shape[0]), int(found.shape[1]))
