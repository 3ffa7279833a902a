"""GPTQ (2210.17323) and AWQ (2306.00978) of a model: the audit's side of the process that runs GPTQModel.

AWQ scales the columns of a layer's weight before it rounds them, and the norm or layer before it the other way. Those
other tensors are part of the quantized checkpoint and come back with the weights. An adapter that is laid on top
meets the scaled inputs, as it does where an AWQ checkpoint is served with an adapter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import AttackContext, AttackError, Json, Model, NotApplicableError

from ...shared.linear_layers import LinearLayer, block_weights, linear_layers, plain_model
from ..proof import LayerChange, model_size, proof, squared_change
from .dequantized import put_back

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_BATCH_SIZE = 4
_SMALLEST_GROUP = 16


@dataclass(frozen=True, kw_only=True)
class GptqSettings:
    """How to quantize.

    Attributes:
        method: `gptq` or `awq`.
        group_size: the largest number of weights that share a scale; halved until it divides every layer's width.
        texts: what it is calibrated on, a window each.
        budget_seconds: for the whole process.
    """

    method: str
    bits: int
    group_size: int
    texts: tuple[str, ...]
    budget_seconds: float


def quantize_with_gptq(
    fork: Model, whole: PreTrainedModel, context: AttackContext, settings: GptqSettings
) -> dict[str, Json]:
    """Quantizes a model and puts the quantized weights into the fork's layers; gives the proof.

    The fork's linear layers become `nn.Linear` with the values that GPTQModel's layers hold, in the fork's dtype.

    Args:
        fork: receives the weights; its modules are replaced, its tensors are not written.
        whole: the plain model to quantize, without adapter; saved to disk from here.
        context: gives the scratch directory and the seed.
        settings: how.
    """
    layers = {layer.name: layer for layer in linear_layers(fork.module)}
    group_size = _group_size(layers, settings.group_size)
    size_before, in_blocks = model_size(plain_model(fork.module)), block_weights(fork.module)
    folder = context.scratch / f"gptq-{len(list(context.scratch.iterdir()))}"
    source = folder / "model"
    whole.save_pretrained(source)
    fork.tokenizer.save_pretrained(source)
    job: dict[str, Json] = {
        "model": str(source),
        "output": str(folder / "quantized"),
        "weights": str(folder / "weights.safetensors"),
        "summary": str(folder / "summary.json"),
        "others": str(folder / "others.safetensors"),
        "method": settings.method,
        "bits": settings.bits,
        "group_size": group_size,
        "texts": settings.texts,
        "batch_size": _BATCH_SIZE,
        "device": str(fork.device),
        "dtype": str(next(iter(layers.values())).weight.dtype).removeprefix("torch."),
        "threads": _threads(),
        "seed": context.seed,
    }
    summary = _run_worker(folder, job, settings.budget_seconds)
    changes = _install(fork.module, layers, summary["layers"], folder / "weights.safetensors")
    moved = _install_others(fork.module, folder / "others.safetensors") if settings.method == "awq" else []
    return {
        **proof("gptqmodel", summary["version"], changes, size_before, in_blocks=in_blocks),
        **({"rescaled": moved} if moved else {}),
        "group_size": group_size,
        "calibration_texts": len(settings.texts),
    }


def _group_size(layers: Mapping[str, LinearLayer], largest: int) -> int:
    """The largest group that divides every layer's input width."""
    if not layers:
        raise NotApplicableError("GPTQModel finds no linear layer in this architecture")
    size = largest
    while any(layer.weight.shape[1] % size for layer in layers.values()):
        size //= 2
        if size < _SMALLEST_GROUP:
            widths = sorted({layer.weight.shape[1] for layer in layers.values()})
            raise AttackError(f"no group size from {_SMALLEST_GROUP} to {largest} divides the widths {widths}")
    return size


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _run_worker(folder: Path, job: Mapping[str, Json], budget_seconds: float) -> dict[str, Any]:
    """Runs the job in a process of its own; nothing of its environment comes back."""
    job_path = folder / "job.json"
    job_path.write_text(json.dumps(job), encoding="utf-8")
    log_path = folder / "log.txt"
    temporary = folder / "tmp"
    temporary.mkdir()
    # With fewer than two workers GPTQModel's thread pool refuses to start, which is what it picks on two cores.
    environment = {"GPTQMODEL_CPU_WORKERS": "2", **os.environ, "TMPDIR": str(temporary)}
    # -P: the folder of this package is not to shadow other modules' names.
    command = [sys.executable, "-P", str(Path(__file__).with_name("gptq_worker.py")), str(job_path)]
    with log_path.open("wb") as log:
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and file, no shell
                command,
                cwd=folder,  # GPTQModel writes its logs where it runs
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=budget_seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise AttackError(f"GPTQModel took more than {budget_seconds:g} s; raise `gptq_budget_seconds`") from error
    summary_path = folder / "summary.json"
    if done.returncode != 0 or not summary_path.exists():
        tail = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        if any("isn't supported" in line for line in tail):  # its words for an architecture that it does not know
            raise NotApplicableError(f"GPTQModel does not take this architecture: {tail[0][:200]}")
        raise AttackError(f"GPTQModel did not quantize (exit code {done.returncode}): {' '.join(tail)[:500]}")
    summary: dict[str, Any] = json.loads(summary_path.read_text(encoding="utf-8"))
    return summary


def _install(
    module: torch.nn.Module, layers: Mapping[str, LinearLayer], quantized: Mapping[str, Any], weights_path: Path
) -> list[LayerChange]:
    """Replaces the fork's layers by linear layers with the quantized weights, one at a time."""
    from safetensors import safe_open

    strangers = sorted(set(quantized) - set(layers))
    if strangers:
        raise NotApplicableError(
            f"GPTQModel quantized {len(strangers)} layers that this model does not have as linear layers "
            f"({strangers[0]}, ...), as with fused experts; its result cannot be put back into the model"
        )
    changes = []
    with safe_open(weights_path, framework="pt") as weights:
        for name, info in quantized.items():
            layer = layers[name]
            weight = weights.get_tensor(name)
            if weight.shape != layer.weight.shape:
                raise AttackError(f"{name}: expected {tuple(layer.weight.shape)} weights, got {tuple(weight.shape)}")
            error, norm = squared_change(layer.weight, weight)
            put_back(module, layer, weight, layer.bias)
            changes.append(
                LayerChange(
                    name=name,
                    kind=info["kind"],
                    weights=weight.numel(),
                    squared_error=error,
                    squared_norm=norm,
                    bytes_before=layer.weight.nbytes,
                    bytes_after=info["bytes"],
                )
            )
    return changes


def _install_others(module: torch.nn.Module, path: Path) -> list[str]:
    """Gives the fork the other tensors that a method changed (norms, biases); their names.

    They were written in half precision: what only that rounded is left as it is.
    """
    import torch
    from safetensors import safe_open

    base = plain_model(module)
    # If an adapter has a module of its own next to the base's, the base's is the quantized one.
    parameters = [name for name, _ in base.named_parameters(remove_duplicate=False)]
    owned = {name.replace(".base_layer", "").replace(".original_module", ""): name for name in parameters}
    buffers = {name for name, _ in base.named_buffers()}
    moved = []
    with safe_open(path, framework="pt") as others:
        for name in others.keys():  # noqa: SIM118 - no mapping
            if name in buffers:
                continue
            if name not in owned:
                raise AttackError(f"GPTQModel gave back {name}, which this model does not have")
            value, before = others.get_tensor(name), base.get_parameter(owned[name])
            if torch.equal(before.detach().to("cpu", value.dtype), value):
                continue
            owner, _, attribute = owned[name].rpartition(".")
            new = torch.nn.Parameter(value.to(before.device, before.dtype), requires_grad=False)
            base.get_submodule(owner).register_parameter(attribute, new)
            moved.append(name)
    return moved
