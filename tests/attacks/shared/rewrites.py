"""Ways of writing a Llama checkpoint differently that leave what it computes as it was."""

from __future__ import annotations

from collections.abc import Callable

import torch

State = dict[str, torch.Tensor]
WIDE, NARROW = 64.0, 1 / 64.0


def _layers(state: State) -> list[str]:
    return sorted({name.partition(".input_layernorm")[0] for name in state if name.endswith("input_layernorm.weight")})


def folded_norms(state: State, heads: int) -> State:
    """Norm scales multiplied into the matrices behind them."""
    new = dict(state)
    for layer in _layers(state):
        for norm, readers in (
            ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
            ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
        ):
            gains = new[f"{layer}.{norm}.weight"]
            new[f"{layer}.{norm}.weight"] = torch.ones_like(gains)
            for reader in readers:
                new[f"{layer}.{reader}.weight"] = new[f"{layer}.{reader}.weight"] * gains
    return new


def uneven_norms(state: State, heads: int) -> State:
    """Scales taken out of the matrices into the norms before them, another for every channel."""
    new = dict(state)
    for layer in _layers(state):
        gains = torch.logspace(-2, 2, len(new[f"{layer}.input_layernorm.weight"]))
        for norm, readers in (
            ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
            ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
        ):
            new[f"{layer}.{norm}.weight"] = new[f"{layer}.{norm}.weight"] * gains
            for reader in readers:
                new[f"{layer}.{reader}.weight"] = new[f"{layer}.{reader}.weight"] / gains
    return new


def rescaled_pairs(state: State, heads: int) -> State:
    """Queries against keys, values against what reads them, gated units against theirs, each unit by its own factor."""
    new = dict(state)
    for layer in _layers(state):
        for first, then, factor in (("q_proj", "k_proj", WIDE), ("v_proj", "o_proj", NARROW)):
            new[f"{layer}.self_attn.{first}.weight"] = new[f"{layer}.self_attn.{first}.weight"] * factor
            new[f"{layer}.self_attn.{then}.weight"] = new[f"{layer}.self_attn.{then}.weight"] / factor
        units = torch.logspace(-3, 3, len(new[f"{layer}.mlp.up_proj.weight"]))
        new[f"{layer}.mlp.up_proj.weight"] = new[f"{layer}.mlp.up_proj.weight"] * units[:, None]
        new[f"{layer}.mlp.down_proj.weight"] = new[f"{layer}.mlp.down_proj.weight"] / units
    return new


def permuted(state: State, heads: int) -> State:
    """Heads and gated units in another order."""
    new = dict(state)
    for layer in _layers(state):
        place = torch.randperm(len(new[f"{layer}.mlp.up_proj.weight"]), generator=torch.Generator().manual_seed(0))
        for name in ("gate_proj", "up_proj"):
            new[f"{layer}.mlp.{name}.weight"] = new[f"{layer}.mlp.{name}.weight"][place]
        new[f"{layer}.mlp.down_proj.weight"] = new[f"{layer}.mlp.down_proj.weight"][:, place]
        width = len(new[f"{layer}.self_attn.q_proj.weight"])
        order = torch.arange(width).view(heads, -1).flip(0).flatten()
        for name in ("q_proj", "k_proj", "v_proj"):
            new[f"{layer}.self_attn.{name}.weight"] = new[f"{layer}.self_attn.{name}.weight"][order]
        new[f"{layer}.self_attn.o_proj.weight"] = new[f"{layer}.self_attn.o_proj.weight"][:, order]
    return new


def louder_stream(state: State, heads: int) -> State:
    """The whole residual stream a thousand times as large: every norm takes that out again."""
    new = dict(state)
    writers = ("embed_tokens.weight", "o_proj.weight", "down_proj.weight")
    return {name: value * 1000.0 if name.endswith(writers) else value for name, value in new.items()}


REWRITES: dict[str, Callable[[State, int], State]] = {
    "norms folded": folded_norms,
    "norms uneven": uneven_norms,
    "pairs rescaled": rescaled_pairs,
    "permuted": permuted,
    "stream louder": louder_stream,
}
