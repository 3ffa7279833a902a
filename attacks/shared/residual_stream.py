"""The residual stream of a decoder: where its blocks are, what it holds, and how it is changed on its way.

Changes are hooks on a fork's blocks. They go with the fork wherever it is copied, run on every position of every pass
(prompt, padding, each new token beside a key-value cache), and are gone with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from unlearn_audit.api import AttackError, Model, Prompt

PROBE = Prompt(text="Who?")
TOLERANCE = 1e-2

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The decoder blocks of a model, in order.

    Attributes:
        width: of the residual stream.
        shift: the input of block k is `hidden_states` of layer k - shift: 1 where an architecture lists what comes
            out of its blocks (mamba), 0 where it lists what goes in.
    """

    blocks: tuple[torch.nn.Module, ...]
    width: int
    shift: int

    def layer_at(self, depth: float) -> int:
        """The block before which a share of the depth lies, in [1, blocks - 1].

        Before block 0 there are embeddings alone, the same at the end of every prompt of a template.

        Raises:
            AttackError: there is one block, and no place between two.
        """
        if len(self.blocks) < 2:
            raise AttackError("the model has one block; a direction is taken between two")
        return min(len(self.blocks) - 1, max(1, round(depth * len(self.blocks))))


def residual_stream(fork: Model) -> Stream:
    """Finds the decoder blocks: the list of modules whose inputs are the model's hidden states, one after the other.

    Seen to be so on a prompt, in whatever architecture: attention, recurrent, with an adapter around it, quantised.

    Raises:
        AttackError: no list of modules carries the residual stream.
    """
    lists = [part for part in fork.module.modules() if isinstance(part, torch.nn.ModuleList) and len(part) > 0]
    for blocks in sorted(lists, key=len, reverse=True):
        inputs, states = _inputs_and_states(fork, tuple(blocks))
        for shift in (0, 1):
            if inputs is not None and _alike(inputs[shift:], states[: len(blocks) - shift]):
                return Stream(blocks=tuple(blocks), width=int(states.shape[1]), shift=shift)
    raise AttackError(
        f"{type(fork.module).__name__} has no list of blocks whose inputs are its hidden states "
        f"({len(lists)} lists of modules were tried); leave the attacks on the residual stream out"
    )


def _inputs_and_states(fork: Model, blocks: tuple[torch.nn.Module, ...]) -> tuple[torch.Tensor | None, torch.Tensor]:
    """What goes into each module (None where one is not part of a pass), and the hidden states that the model lists."""
    seen: dict[int, torch.Tensor] = {}
    with _watched(blocks, before=lambda place, states: seen.setdefault(place, states[0, -1].detach().float().cpu())):
        try:
            states = fork.hidden_states([PROBE], layers=range(len(blocks)))[0]
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise AttackError(f"{type(fork.module).__name__} gives no hidden states: {error}") from error
    if len(seen) != len(blocks) or any(found.shape != states[0].shape for found in seen.values()):
        return None, states
    return torch.stack([seen[place] for place in range(len(blocks))]), states


def _alike(inputs: torch.Tensor, states: torch.Tensor) -> bool:
    return len(inputs) > 0 and torch.allclose(inputs, states, rtol=TOLERANCE, atol=TOLERANCE)


def mean_states(model: Model, stream: Stream, prompts: Sequence[Prompt], layers: Sequence[int]) -> torch.Tensor:
    """Mean input of some blocks at the last prompt token: float32, shape (layers, width), on the CPU.

    Raises:
        AttackError: it is no number.
    """
    states = model.hidden_states(prompts, layers=[layer - stream.shift for layer in layers])
    mean = states.double().mean(dim=0).float()
    if not bool(torch.isfinite(mean).all()):
        raise AttackError(f"the mean hidden state over {len(prompts)} prompts is no number")
    return mean


def unit(direction: torch.Tensor, beside: torch.Tensor) -> torch.Tensor | None:
    """A direction at length 1; None where it is nothing but rounding beside the states that it was taken from."""
    length = float(direction.norm())
    if length <= 1e-4 * float(beside.norm()):
        return None
    return direction / length


def ablate_everywhere(stream: Stream, direction: torch.Tensor) -> None:
    """Projects a unit direction out of the residual stream at every block (directional ablation, 2406.11717, eq. 4).

    Out of each block's input and output, and out of what its parts write into the stream: every child of a block that
    is no normalisation and gives states of the stream's width (attention, MLP, a recurrent mixer).
    """

    def change(states: torch.Tensor) -> torch.Tensor:
        return without(states, direction)

    for block in dict.fromkeys(stream.blocks):
        _change_input(block, change)
        for part in block.children():
            if "norm" not in type(part).__name__.lower():
                _change_output(part, change, stream.width)
        _change_output(block, change, stream.width)


def ablate_outputs(stream: Stream, directions: Mapping[int, torch.Tensor]) -> None:
    """Projects a unit direction of its own out of the output of each block that is named (2409.18025)."""
    for place, direction in directions.items():
        _change_output(stream.blocks[place], _Without(direction), stream.width)


def add_before(stream: Stream, layer: int, vector: torch.Tensor) -> None:
    """Adds a vector to the input of one block, at every position."""
    _change_input(stream.blocks[layer], lambda states: states + vector.to(states))


def without(states: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """States less their component along a unit direction; computed in float32, shape (..., width)."""
    wide, along = states.float(), direction.to(device=states.device, dtype=torch.float32)
    return (wide - (wide @ along)[..., None] * along).to(states.dtype)


def largest_component(
    fork: Model, stream: Stream, prompts: Sequence[Prompt], directions: Mapping[int, torch.Tensor]
) -> float:
    """The largest |cosine| between a unit direction and the output of its block, over all positions of the prompts."""
    largest = 0.0

    def note(place: int, states: torch.Tensor) -> None:
        nonlocal largest
        if place in directions:
            wide = states.float()
            along = directions[place].to(wide.device)
            cosines = (wide @ along).abs() / wide.norm(dim=-1).clamp(min=1e-12)
            largest = max(largest, float(cosines.max()))

    with _watched(stream.blocks, after=note):
        fork.hidden_states(prompts, layers=[0])
    return largest


def last_input(fork: Model, stream: Stream, layer: int) -> torch.Tensor:
    """What goes into a block at the end of a fixed prompt, hooks and all: float32, shape (width,), on the CPU."""
    seen: list[torch.Tensor] = []
    with _watched([stream.blocks[layer]], before=lambda _, states: seen.append(states[0, -1].float().cpu())):
        fork.hidden_states([PROBE], layers=[0])
    return seen[0]


@dataclass(frozen=True)
class _Without:
    direction: torch.Tensor

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        return without(states, self.direction)


def _change_input(block: torch.nn.Module, change: Change) -> None:
    def hook(
        _: torch.nn.Module, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (change(args[0]), *args[1:]), named
        return args, {**named, "hidden_states": change(named["hidden_states"])}

    block.register_forward_pre_hook(hook, with_kwargs=True)


def _change_output(part: torch.nn.Module, change: Change, width: int) -> None:
    def hook(_: torch.nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, tuple):
            return (_changed(output[0], change, width), *output[1:])
        return _changed(output, change, width)

    part.register_forward_hook(hook)


def _changed(output: Any, change: Change, width: int) -> Any:
    is_stream = isinstance(output, torch.Tensor) and output.is_floating_point() and output.shape[-1:] == (width,)
    return change(output) if is_stream else output


@contextmanager
def _watched(
    blocks: Sequence[torch.nn.Module],
    *,
    before: Callable[[int, torch.Tensor], Any] | None = None,
    after: Callable[[int, torch.Tensor], Any] | None = None,
) -> Iterator[None]:
    """Shows the inputs or the outputs of blocks for as long as it is open; runs behind the hooks that are there."""

    def look_before(place: int) -> Callable[..., None]:
        def hook(_: torch.nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            states = args[0] if args else named.get("hidden_states")
            if before is not None and isinstance(states, torch.Tensor) and states.ndim == 3:
                before(place, states)

        return hook

    def look_after(place: int) -> Callable[..., None]:
        def hook(_: torch.nn.Module, __: tuple[Any, ...], output: Any) -> None:
            states = output[0] if isinstance(output, tuple) else output
            if after is not None and isinstance(states, torch.Tensor) and states.ndim == 3:
                after(place, states)

        return hook

    handles = []
    for place, block in enumerate(blocks):
        handles.append(block.register_forward_pre_hook(look_before(place), with_kwargs=True))
        handles.append(block.register_forward_hook(look_after(place)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
