"""GPTQ (2210.17323) through GPTQModel, in a process of its own: run as a program with the path of a job.

GPTQModel on import rewrites parts of other libraries, the root logger and the environment, and starts threads. None
of that may reach the audit's process, so this file is never imported by it: it gets a job as JSON, and leaves the
quantised checkpoint, the weights that it stands for, and a summary, as files.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


def main(job_path: Path) -> None:
    """Quantises, saves, loads again with the library's own layers, and writes what those layers hold."""
    import torch
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
    from gptqmodel.nn_modules.qlinear import BaseQuantLinear
    from safetensors.torch import save_file

    job = json.loads(job_path.read_text(encoding="utf-8"))
    torch.manual_seed(job["seed"])
    torch.set_num_threads(job["threads"])
    output = Path(job["output"])
    config = QuantizeConfig(bits=job["bits"], group_size=job["group_size"], device=job["device"])
    model = GPTQModel.load(job["model"], config, dtype=getattr(torch, job["dtype"]))
    model.quantize(job["texts"], batch_size=job["batch_size"], calibration_data_min_length=1)
    model.save(str(output))
    # The reference layers on the CPU, in the dtype in which the format stores its scales: no kernel's own rounding.
    loaded = GPTQModel.load(str(output), device="cpu", backend=BACKEND.GPTQ_TORCH, dtype=torch.float16)
    weights: dict[str, torch.Tensor] = {}
    layers: dict[str, dict[str, Any]] = {}
    for name, layer in loaded.model.named_modules():
        if isinstance(layer, BaseQuantLinear):
            weights[name] = layer.dequantize_weight().T.contiguous()
            stored = sum(tensor.nbytes for tensor in layer.state_dict().values())
            layers[name] = {"kind": type(layer).__name__, "bytes": stored}
    save_file(weights, job["weights"])
    summary = {"version": version("gptqmodel"), "layers": layers}
    Path(job["summary"]).write_text(json.dumps(summary), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
