"""K- and I-quants as llama.cpp itself rounds to them: its `ggml_quantize_chunk`, out of the package llama-cpp-python.

Super-blocks of 256 weights of one row, with small scales that are rounded themselves and are searched for. `gguf`
reads these formats and cannot write them. A row that is not a whole number of super-blocks gets the format that
llama.cpp falls back to, and the proof counts it by that name. A file named Q4_K_M mixes: half of the value and down
matrices are in Q6_K there, and the embeddings are rounded too; here every matrix of the blocks has the one type. With
an importance matrix, errors are weighed by the mean square of each input channel over neutral text, as `llama-imatrix`
counts them; stacks of experts are then rounded without.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import AttackError, Json, Model

from ...shared.linear_layers import linear_layers, weight_matrices
from ..formats import Quantizer
from .dequantized import Rounded, replace_layers

if TYPE_CHECKING:
    import torch

SUPER_BLOCK = 256
FALLBACKS = {
    Quantizer.Q2_K: "IQ4_NL",
    Quantizer.Q3_K: "IQ4_NL",
    Quantizer.IQ4_XS: "IQ4_NL",
    Quantizer.Q4_K: "Q5_0",
    Quantizer.Q5_K: "Q5_1",
    Quantizer.Q6_K: "Q8_0",
}
"""By format: what llama.cpp gives to rows of another width (its `convert_incompatible_tensor`)."""


def quantize_with_llama_cpp(fork: Model, quantizer: Quantizer, texts: Sequence[str]) -> dict[str, Json]:
    """Replaces the linear layers of a fork's module by such with llama.cpp's values; gives the proof.

    Args:
        fork: its modules are replaced, its tensors are not written.
        quantizer: a K- or I-quant.
        texts: for the importance matrix; none: without.
    """
    importance = importance_of(fork, texts) if texts else {}
    # `replace_layers` hands over the weights alone, in the order of `weight_matrices`.
    order = iter(tuple(importance.get(layer.name) for layer in weight_matrices(fork.module)))
    made = replace_layers(
        fork.module,
        lambda weight: rounded(weight, quantizer.name, FALLBACKS[quantizer], next(order)),
        {},
        backend="llama.cpp",
        version=version("llama-cpp-python"),
    )
    return {**made, **({"importance_texts": len(texts), "weighed_layers": len(importance)} if texts else {})}


def rounded(
    weight: torch.Tensor, kind: str, fallback: str = "", importance: torch.Tensor | None = None
) -> Rounded | None:
    """What a GGUF file of this kind would hold of a weight matrix, shape (out, in); None where no block fits a row.

    Args:
        weight: in any floating type.
        kind: the type's name, as in `gguf`.
        fallback: the type for rows that are no whole number of its blocks.
        importance: mean square of each input, shape (in,).
    """
    import gguf
    import numpy as np
    import torch

    rows, width = weight.shape
    names = [name for name in (kind, fallback) if name]
    sizes = {name: gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]] for name in names}
    chosen = next((name for name in names if width % sizes[name][0] == 0), None)
    if chosen is None:
        return None
    values, size = sizes[chosen]
    exact = np.ascontiguousarray(weight.detach().to("cpu", torch.float32).numpy())
    weights = None if importance is None else np.ascontiguousarray(importance.to("cpu", torch.float32).numpy())
    stored = np.zeros((rows, width // values * size), dtype=np.uint8)
    written = _library().ggml_quantize_chunk(
        gguf.GGMLQuantizationType[chosen].value,
        exact.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
        stored.ctypes.data_as(ctypes.c_void_p),
        0,
        rows,
        width,
        None if weights is None else weights.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
    )
    if written != stored.nbytes:
        raise AttackError(f"llama.cpp wrote {written} bytes of {chosen} where {stored.nbytes} were expected")
    found = gguf.quants.dequantize(stored, gguf.GGMLQuantizationType[chosen])
    return Rounded(weight=torch.from_numpy(found).to(weight.device), kind=chosen, stored_bytes=stored.nbytes)


def importance_of(model: Model, texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
    """Mean square of what comes into each linear layer over some texts, shape (in,), by the layer's name."""
    import torch

    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    with _watched(model, sums, counts), torch.no_grad():
        for text in texts:
            ids = model.tokenizer(text)["input_ids"]
            model.module(input_ids=torch.tensor([ids], device=model.device), use_cache=False)
    return {name: total / counts[name] for name, total in sums.items()}


@contextmanager
def _watched(model: Model, sums: dict[str, torch.Tensor], counts: dict[str, int]) -> Iterator[None]:
    def note(name: str, given: Any) -> None:
        inputs = given[0].detach().float().flatten(0, -2)
        sums[name] = sums.get(name, 0) + inputs.square().sum(0)
        counts[name] = counts.get(name, 0) + len(inputs)

    handles = [
        layer.module.register_forward_pre_hook(lambda _, given, name=layer.name: note(name, given))
        for layer in linear_layers(model.module)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@cache
def _library() -> Any:
    """Ggml's own library, without the package around it, which loads far more.

    Raises:
        AttackError: the package does not carry it where it did.
    """
    found = find_spec("llama_cpp")
    folder = Path(str(found.origin)).parent / "lib" if found is not None else Path()
    paths = sorted(path for path in folder.glob("*ggml-base*") if path.suffix in (".so", ".dylib", ".dll"))
    if not paths:
        raise AttackError(f"llama-cpp-python has no library ggml-base in {folder}; install a version from 0.3.16 on")
    library = ctypes.CDLL(str(paths[0]))
    floats = ctypes.POINTER(ctypes.c_float)
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        floats,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        floats,
    ]
    return library
