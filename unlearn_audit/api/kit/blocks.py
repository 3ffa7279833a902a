"""The blocks of a decoder and its head: where they are, and how a state in between reads as words.

Nothing is named after an architecture. Blocks are the modules that are seen to read or write the hidden states one
after the other; the final norm is the module that is seen to feed the unembedding. Attacks that change the residual
stream and probes that read it find the blocks here, so that both mean the same ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from unlearn_audit.api.kit.answer_batches import chosen_log_probs
from unlearn_audit.api.model import Model, Prompt
from unlearn_audit.errors import AuditError

POSITIONS_AT_A_TIME = 256
"""Positions whose logits are held at once: a large vocabulary makes them dear."""

TOLERANCE = 1e-2
RESIDUAL, ATTENTION, MLP = "resid", "attn", "mlp"
PARTS: Mapping[str, tuple[str, ...]] = {
    ATTENTION: ("attn", "attention"),
    MLP: ("mlp", "feed_forward", "ffn", "moe"),
}
"""Words by which a block's parts are known."""

NO_BLOCKS = "the architecture has no list of blocks that write its hidden states"
NO_HEAD = "the architecture has no output embedding to read a state by"

Change: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Head:
    """The unembedding with the norm before it, None where there is none to be seen."""

    norm: torch.nn.Module | None
    unembedding: torch.nn.Module

    def log_probs(self, states: torch.Tensor, token_ids: torch.Tensor) -> torch.Tensor:
        """Log-probability of a token for each state, as if the model ended there: float32, shape (positions,).

        Args:
            states: (positions, width), as they stand in the residual stream.
            token_ids: (positions,).
        """
        parts = zip(*(torch.split(one, POSITIONS_AT_A_TIME) for one in (states, token_ids)), strict=True)
        return torch.cat([self._log_probs(some, wanted) for some, wanted in parts])

    def _log_probs(self, states: torch.Tensor, token_ids: torch.Tensor) -> torch.Tensor:
        states = states.to(next(self.unembedding.parameters()).device)
        return chosen_log_probs(self.unembedding(self.normed(states)), token_ids)

    def normed(self, states: torch.Tensor) -> torch.Tensor:
        """States behind the final norm, as they are where there is none."""
        return states if self.norm is None else torch.as_tensor(self.norm(states))


@dataclass(frozen=True, kw_only=True)
class Layers:
    """What a pass over a short prompt showed of a model.

    Attributes:
        depth: number of blocks.
        blocks: in order; empty where they were not found.
        head: None where the model has no output embedding.
        width: of the residual stream.
        shift: the input of block k is `hidden_states[k - shift]`: 1 where an architecture lists what comes out of its
            blocks (mamba), 0 where it lists what goes in.
    """

    depth: int
    blocks: tuple[torch.nn.Module, ...]
    head: Head | None
    width: int = 0
    shift: int = 0

    def part(self, kind: str, number: int) -> torch.nn.Module | None:
        """The attention or MLP of a block, counted from 1; None where it has no part of that name."""
        words = PARTS[kind]
        for name, child in self.blocks[number - 1].named_children():
            named = any(word in name.lower() for word in words)
            # Norms and dropouts are named after the part next to them.
            if named and "norm" not in type(child).__name__.lower() and any(True for _ in child.parameters()):
                return child
        return None


def depths_of(layers: int, most: int) -> tuple[int, ...]:
    """Up to `most` blocks, counted from 1, evenly spread over the depth, the last one among them."""
    count = min(layers, most)
    return tuple(sorted({round(layers * place / count) for place in range(1, count + 1)}))


@torch.inference_mode()
def layers_of(model: Model) -> Layers:
    """Finds the blocks and the head of a model, in whatever architecture: attention, recurrent, adapted, quantized.

    Raises:
        AuditError: the model does not list its hidden states.
    """
    lists = [part for part in model.module.modules() if isinstance(part, torch.nn.ModuleList) and len(part) > 0]
    norms = [part for part in model.module.modules() if "norm" in type(part).__name__.lower()]
    unembedding = _output_embedding(model.module)
    seen = _Seen()
    entering: list[torch.Tensor] = []
    with watching(
        [*(block for blocks in lists for block in blocks), *norms],
        seen.outputs.__setitem__,
        before=seen.inputs.setdefault,
    ):
        handle = None if unembedding is None else unembedding.register_forward_pre_hook(_noting(entering))
        try:
            states = _states_of(model)
        finally:
            if handle is not None:
                handle.remove()
    blocks, shift = _blocks_among(lists, seen, states)
    given = seen.outputs
    norm = next((one for one in reversed(norms) if entering and one in given and _alike(given[one], entering[0])), None)
    return Layers(
        depth=len(states) - 1,
        blocks=blocks,
        head=Head(norm=norm, unembedding=unembedding) if unembedding is not None and entering else None,
        width=int(states[0].shape[-1]),
        shift=shift,
    )


@dataclass(frozen=True)
class _Seen:
    """What went into modules and came out of them."""

    inputs: dict[torch.nn.Module, torch.Tensor] = field(default_factory=dict)
    outputs: dict[torch.nn.Module, torch.Tensor] = field(default_factory=dict)


def _blocks_among(
    lists: Sequence[torch.nn.ModuleList], seen: _Seen, states: Sequence[torch.Tensor]
) -> tuple[tuple[torch.nn.Module, ...], int]:
    """The list that carries the residual stream, with its shift; an empty one where none does."""
    for blocks in sorted(lists, key=len, reverse=True):
        if len(blocks) == len(states) - 1:
            for shift in (0, 1):
                if _read_states(blocks, seen, states, shift) or _write_states(blocks, seen, states, shift):
                    return tuple(blocks), shift
    return (), 0


def _read_states(blocks: torch.nn.ModuleList, seen: _Seen, states: Sequence[torch.Tensor], shift: int) -> bool:
    """Whether the hidden states are what goes into these modules."""
    if any(block not in seen.inputs for block in blocks):
        return False
    inputs = [seen.inputs[block] for block in blocks][shift:]
    return bool(inputs) and all(_alike(one, other) for one, other in zip(inputs, states, strict=False))


def _write_states(blocks: torch.nn.ModuleList, seen: _Seen, states: Sequence[torch.Tensor], shift: int) -> bool:
    """Whether the hidden states are what comes out of these modules.

    The last block's own output is not compared: most architectures list it behind the final norm. A single block that
    is listed before the norm has nothing else to be known by.
    """
    if any(block not in seen.outputs for block in blocks):
        return False
    outputs = [seen.outputs[block] for block in blocks]
    if shift == 0 or len(outputs) > 1:
        outputs = outputs[:-1]
    return bool(outputs) and all(_alike(one, other) for one, other in zip(outputs, states[1 - shift :], strict=False))


def _output_embedding(module: torch.nn.Module) -> torch.nn.Module | None:
    try:
        found = module.get_output_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        return None
    return found if isinstance(found, torch.nn.Module) else None


def _noting(kept: list[torch.Tensor]) -> Callable[..., None]:
    def hook(_: torch.nn.Module, args: tuple[Any, ...]) -> None:
        kept.extend(args[:1])

    return hook


def _states_of(model: Model) -> list[torch.Tensor]:
    row = model.render(Prompt(text="Who?"), "Nobody.").token_ids
    ids = torch.tensor([row], device=model.device)
    out = model.module(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True, use_cache=False)
    states = getattr(out, "hidden_states", None)
    if not states or len(states) < 2:
        raise AuditError(f"{type(model.module).__name__} lists no hidden states; leave the probes of insides out")
    return list(states)


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two states agree at the last position."""
    one, other = one[0, -1].float().cpu(), other[0, -1].float().cpu()
    return one.shape == other.shape and torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE)


def takes_logits_to_keep(module: torch.nn.Module) -> bool:
    """Whether the model can skip the logits of all but the last positions."""
    base = module.get_base_model() if hasattr(module, "get_base_model") else module  # type: ignore[operator]
    return "logits_to_keep" in inspect.signature(base.forward).parameters


def keep_head_inputs_whole(module: torch.nn.Module) -> None:
    """Has the output head read one piece of memory: torch gives each row of a slice a copy of the weights.

    On a CPU, with frozen weights in half precision: those copies were most of the time of a short answer.
    """
    head = getattr(module, "get_output_embeddings", lambda: None)()
    if head is not None:
        head.register_forward_pre_hook(_whole)


def _whole(_: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if not args or args[0].stride() == torch.empty(args[0].shape, device="meta").stride():
        return None
    # What counts as contiguous may have other strides, where a dimension is 1: a clone has the usual ones.
    return (args[0].clone(memory_format=torch.contiguous_format), *args[1:])


Note: TypeAlias = Callable[[torch.nn.Module, torch.Tensor], Any]


@contextmanager
def watching(parts: Sequence[torch.nn.Module], note: Note, *, before: Note | None = None) -> Iterator[None]:
    """Shows what modules give, (rows, positions, width), for as long as it is open; `before` is shown what they take.

    Runs behind the hooks that are there already, and so sees what those made of the states.
    """

    def look_after(part: torch.nn.Module, _: Any, output: Any) -> None:
        states = output[0] if isinstance(output, tuple) else output
        if isinstance(states, torch.Tensor) and states.ndim == 3:
            note(part, states)

    def look_before(part: torch.nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        states = args[0] if args else named.get("hidden_states")
        if before is not None and isinstance(states, torch.Tensor) and states.ndim == 3:
            before(part, states)

    handles = []
    for part in dict.fromkeys(parts):
        handles.append(part.register_forward_hook(look_after))
        if before is not None:
            handles.append(part.register_forward_pre_hook(look_before, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def changed(part: torch.nn.Module, change: Change) -> Iterator[None]:
    """Changes what a module gives, for as long as it is open."""

    def hook(_: torch.nn.Module, __: Any, output: Any) -> Any:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    handle = part.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
