"""GPTQ (2210.17323) or AWQ (2306.00978) through GPTQModel, in a process of its own: a program, given a job's path.

GPTQModel on import rewrites parts of other libraries, the root logger and the environment, and starts threads. None
of that may reach the audit's process, so this file is never imported by it: it gets a job as JSON, and leaves the
quantized checkpoint, the weights that it stands for, and a summary, as files.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


def main(job_path: Path) -> None:
    """Quantizes, saves, loads again with the library's own layers, and writes what those layers hold."""
    import torch
    from gptqmodel import BACKEND, GPTQModel
    from gptqmodel.nn_modules.qlinear import BaseQuantLinear
    from safetensors.torch import save_file

    job = json.loads(job_path.read_text(encoding="utf-8"))
    torch.manual_seed(job["seed"])
    torch.set_num_threads(job["threads"])
    output = Path(job["output"])
    is_awq = job["method"] == "awq"
    # The kernels in plain torch: the only ones that run, and pack, on every device.
    backend = BACKEND.AWQ_TORCH if is_awq else BACKEND.GPTQ_TORCH
    model = GPTQModel.load(job["model"], _config(job), dtype=_dtype(job))
    model.quantize(job["texts"], backend=backend, batch_size=job["batch_size"], calibration_data_min_length=1)
    model.save(str(output))
    # The reference layers on the CPU, in the dtype in which the format stores its scales: no kernel's own rounding.
    loaded = GPTQModel.load(str(output), device="cpu", backend=backend, dtype=torch.float16)
    weights: dict[str, torch.Tensor] = {}
    layers: dict[str, dict[str, Any]] = {}
    for name, layer in loaded.model.named_modules():
        if isinstance(layer, BaseQuantLinear):
            weights[name] = (_awq_weight(layer) if is_awq else layer.dequantize_weight()).T.contiguous()
            stored = sum(tensor.nbytes for key, tensor in layer.state_dict().items() if key != "bias")
            layers[name] = {"kind": type(layer).__name__, "bytes": stored}
    save_file(weights, job["weights"])
    if is_awq:
        save_file(_others(loaded.model, layers), job["others"])
    summary = {"version": version("gptqmodel"), "layers": layers}
    Path(job["summary"]).write_text(json.dumps(summary), encoding="utf-8")


def _config(job: dict[str, Any]) -> Any:
    from gptqmodel import QuantizeConfig
    from gptqmodel.quantization import FORMAT, METHOD

    method = {"method": METHOD.AWQ, "format": FORMAT.GEMM} if job["method"] == "awq" else {}
    return QuantizeConfig(bits=job["bits"], group_size=job["group_size"], device=job["device"], **method)


def _dtype(job: dict[str, Any]) -> Any:
    """The model's own; AWQ's layers know no float32."""
    import torch

    dtype = getattr(torch, job["dtype"])
    return torch.float16 if job["method"] == "awq" and dtype == torch.float32 else dtype


def _awq_weight(layer: Any) -> Any:
    """What an AWQ layer multiplies by, shape (in, out)."""
    from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm

    return dequantize_gemm(
        qweight=layer.qweight, qzeros=layer.qzeros, scales=layer.scales, bits=layer.bits, group_size=layer.group_size
    )


def _others(model: Any, layers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Norms, embeddings and biases: AWQ moves its scales into some of them."""
    codes = tuple(f"{name}." for name in layers)
    return {
        name: tensor.clone().contiguous()
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and (name.endswith(".bias") or not name.startswith(codes))
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
