"""Copies of a module tree whose parts can be replaced while the original stays as it is."""

from __future__ import annotations

import copy

import torch


def fork_module(module: torch.nn.Module, *, copy_weights: bool) -> torch.nn.Module:
    """The same module tree, hooks and all, on shared storage (or on copies): replacing its parts changes no caller.

    Parameters are new objects even when they share storage, so that `requires_grad` is the fork's own. Tied weights
    stay tied. Quantized parameters carry state besides their storage and are shared as they are.
    """
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        if type(parameter) is torch.nn.Parameter:
            data = parameter.detach().clone() if copy_weights else parameter.detach()
            memo[id(parameter)] = torch.nn.Parameter(data, requires_grad=parameter.requires_grad)
        elif not copy_weights:
            memo[id(parameter)] = parameter
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.clone() if copy_weights else buffer
    return copy.deepcopy(module, memo)
