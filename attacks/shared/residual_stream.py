"""The residual stream of a decoder: where its blocks are, what it holds, and how it is changed on its way.

Changes are hooks on a fork's blocks. They go with the fork wherever it is copied, run on every position of every pass
(prompt, padding, each new token with a key-value cache), and are gone with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unlearn_audit.api import AttackError, AuditError, Model, NotApplicableError, Prompt
from unlearn_audit.api.kit.blocks import layers_of, watching

PROBE = Prompt(text="Who?")

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
            NotApplicableError: there is one block, and no place between two.
        """
        if len(self.blocks) < 2:
            raise NotApplicableError("the model has one block; a direction is taken between two")
        return min(len(self.blocks) - 1, max(1, round(depth * len(self.blocks))))


def residual_stream(fork: Model) -> Stream:
    """The decoder blocks, as `api.kit.blocks` finds them.

    Raises:
        NotApplicableError: no list of modules carries the residual stream.
    """
    try:
        layers = layers_of(fork)
    except (AttributeError, AuditError, IndexError, KeyError, TypeError) as error:
        raise NotApplicableError(f"{type(fork.module).__name__} gives no hidden states: {error}") from error
    if not layers.blocks:
        raise NotApplicableError(
            f"{type(fork.module).__name__} has no list of blocks whose inputs are its hidden states"
        )
    return Stream(blocks=layers.blocks, width=layers.width, shift=layers.shift)


def mean_states(model: Model, stream: Stream, prompts: Sequence[Prompt], layers: Sequence[int]) -> torch.Tensor:
    """Mean input of some blocks at the last prompt token: float32, shape (layers, width), on the CPU.

    Raises:
        AttackError: it is not a number.
        NotApplicableError: every prompt is longer than what the model reads. The others are left out.
    """
    read = [prompt for prompt in prompts if model.unread(prompt) is None]
    if not read:
        raise NotApplicableError(f"no question can be read: {model.unread(prompts[0])}")
    states = model.hidden_states(read, layers=[layer - stream.shift for layer in layers])
    mean = states.double().mean(dim=0).float()
    if not bool(torch.isfinite(mean).all()):
        raise AttackError(f"the mean hidden state over {len(read)} prompts is not a number")
    return mean


def mean_last_output(model: Model, stream: Stream, prompts: Sequence[Prompt]) -> torch.Tensor:
    """Mean output of the last block at the last prompt token, before the final normalization: float32, shape (width,).

    No model lists it among its hidden states, so that it is seen in passing, prompt by prompt, without padding.

    Raises:
        AttackError, NotApplicableError: as `mean_states`.
    """
    seen: list[torch.Tensor] = []
    with watching([stream.blocks[-1]], lambda _, states: seen.append(states[0, -1].double().cpu())):
        for prompt in prompts:
            if model.unread(prompt) is None:
                model.hidden_states([prompt], layers=[0])
    if not seen:
        raise NotApplicableError(f"no question can be read: {model.unread(prompts[0])}")
    mean = torch.stack(seen).mean(dim=0).float()
    if not bool(torch.isfinite(mean).all()):
        raise AttackError(f"the mean output of the last block over {len(seen)} prompts is not a number")
    return mean


def unit(direction: torch.Tensor, beside: torch.Tensor) -> torch.Tensor | None:
    """A direction at length 1; None if it is only rounding, relative to the states that it was taken from."""
    length = float(direction.norm())
    if length <= 1e-4 * float(beside.norm()):
        return None
    return direction / length


def ablate_everywhere(stream: Stream, direction: torch.Tensor) -> None:
    """Projects a unit direction out of the residual stream at every block (directional ablation, 2406.11717, eq. 4).

    Out of each block's input and output, and out of what its parts write into the stream: every child of a block that
    is not a normalization and gives states of the stream's width (attention, MLP, a recurrent mixer).
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

    places = {stream.blocks[place]: direction for place, direction in directions.items()}

    def note(block: torch.nn.Module, states: torch.Tensor) -> None:
        nonlocal largest
        wide = states.float()
        along = places[block].to(wide.device)
        cosines = (wide @ along).abs() / wide.norm(dim=-1).clamp(min=1e-12)
        largest = max(largest, float(cosines.max()))

    with watching(list(places), note):
        fork.hidden_states(prompts, layers=[0])
    return largest


def last_input(fork: Model, stream: Stream, layer: int) -> torch.Tensor:
    """What goes into a block at the end of a fixed prompt, hooks and all: float32, shape (width,), on the CPU."""
    seen: list[torch.Tensor] = []
    with watching(
        [stream.blocks[layer]], lambda *_: None, before=lambda _, states: seen.append(states[0, -1].float().cpu())
    ):
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
