"""Two models that answer as one: the second reads along, and its logits move those of the first."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import Json, Model, NotApplicableError

if TYPE_CHECKING:
    import torch

_OWN, _THEIRS = "_layers_of_the_first", "_layers_of_the_second"


@contextmanager
def beside(model: Model, other: torch.nn.Module, factor: float) -> Iterator[tuple[Model, dict[str, Json]]]:
    """A fork with the logits U + k (O - U) at every position, and the proof.

    Of a key-value cache each model has layers of its own. Between two passes they are all in the cache of the first,
    so that whoever repeats or reorders that cache does so for both.

    Args:
        model: U; stays as it is.
        other: O, of the same vocabulary; is copied to the device of the first.
        factor: k.

    Raises:
        NotApplicableError: the vocabularies differ.
    """
    second = copy.deepcopy(other).to(model.device).eval()
    with model.fork() as fork:
        sizes = [_vocabulary(one) for one in (fork.module, second)]
        if sizes[0] != sizes[1]:
            raise NotApplicableError(f"the models have {sizes[0]} and {sizes[1]} tokens; logits need one vocabulary")
        fork.module.register_forward_pre_hook(_part, with_kwargs=True)
        reads = _Reading(second, factor)
        fork.module.register_forward_hook(reads, with_kwargs=True)
        yield fork, {"vocabulary": sizes[0]}


class _Reading:
    """The hook behind the first model: the second reads the same, and the logits are mixed."""

    def __init__(self, second: torch.nn.Module, factor: float) -> None:
        self.second, self.factor = second, factor

    def __call__(self, module: torch.nn.Module, given: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> Any:
        from transformers import DynamicCache

        cache = out.get("past_key_values")
        theirs = None if cache is None else DynamicCache(config=self.second.config)
        if theirs is not None:
            theirs.layers = cache.__dict__.pop(_THEIRS, None) or theirs.layers
        names = ("input_ids", "attention_mask", "position_ids", "use_cache", "logits_to_keep")
        asked = {name: kwargs[name] for name in names if kwargs.get(name) is not None}
        found = self.second(*given, **asked, past_key_values=theirs)
        if theirs is not None:
            setattr(cache, _OWN, len(cache.layers))
            cache.layers = [*cache.layers, *theirs.layers]
        out.logits = out.logits + self.factor * (found.logits - out.logits)
        return out


def _part(_module: torch.nn.Module, _given: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The hook before the first model: takes the second's layers out of the cache."""
    cache = kwargs.get("past_key_values")
    own = getattr(cache, _OWN, None)
    if cache is not None and own is not None:
        setattr(cache, _THEIRS, cache.layers[own:])
        cache.layers = cache.layers[:own]


def _vocabulary(module: Any) -> int:
    return int(module.get_output_embeddings().weight.shape[0])
