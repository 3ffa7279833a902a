"""llama.cpp's block formats through `gguf.quants`: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and MXFP4, on the CPU, in numpy.

Blocks of 32 weights of one row share a half-precision scale (in MXFP4 a power of two; in the `_1` formats also a least
value). llama.cpp stores the q and k matrices of some architectures with their rows in another order, which changes no
block.

Which tensors: the linear layers alone, as for every quantizer here. llama.cpp's own tool goes further: it rounds the
token embeddings too, and keeps the output layer (and embeddings that serve as such) at six bits (Q6_K) beside four-
and five-bit layers. Norms and biases stay in float32 there, and a row whose width is not a multiple of 32 in half
precision; such a layer is left alone here and named in the proof. An importance matrix, with which llama.cpp
searches for other scales, is not used.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import Json

from ...shared.linear_layers import layers_by_name
from ..formats import Quantizer
from .dequantized import Rounded, replace_layers

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

BLOCK_SIZE = 32
_SCALE_BYTES = {
    Quantizer.Q4_0: 2,
    Quantizer.Q4_1: 4,
    Quantizer.Q5_0: 2,
    Quantizer.Q5_1: 4,
    Quantizer.Q8_0: 2,
    Quantizer.MXFP4: 1,
}


def blocks_fit(width: int) -> bool:
    """Whether rows of this width are whole blocks."""
    return width % BLOCK_SIZE == 0


def quantize_with_gguf(
    module: torch.nn.Module, quantizer: Quantizer, original: torch.nn.Module | None
) -> dict[str, Json]:
    """Replaces the linear layers of a fork's module by such with a GGUF format's values; gives the proof.

    Args:
        module: its modules are replaced, its tensors are not written.
        quantizer: one of `gguf`'s.
        original: the original's module, for the share of weights with the same code; or None.
    """
    return replace_layers(
        module,
        lambda weight: rounded(weight, quantizer),
        layers_by_name(original),
        backend="gguf",
        version=version("gguf"),
    )


def rounded(weight: torch.Tensor, quantizer: Quantizer) -> Rounded | None:
    """What a GGUF file of this kind would hold of a weight matrix, shape (out, in); None where no block fits a row."""
    import gguf
    import torch

    if not blocks_fit(weight.shape[1]):
        return None
    kind = gguf.GGMLQuantizationType[quantizer.name]
    exact = weight.detach().to("cpu", torch.float32).contiguous().numpy()
    stored = gguf.quants.quantize(exact, kind)
    return Rounded(
        weight=torch.from_numpy(gguf.quants.dequantize(stored, kind)).to(weight.device),
        kind=quantizer.name,
        stored_bytes=stored.nbytes,
        codes=torch.from_numpy(_codes(stored, quantizer)).reshape(weight.shape).to(weight.device),
    )


def _codes(stored: NDArray[np.uint8], quantizer: Quantizer) -> NDArray[np.uint8]:
    """The code of every weight, shape (blocks, 32): scales, then the fifth bits if there are such, then the rest."""
    import gguf
    import numpy as np

    _, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[quantizer.name]]
    blocks: NDArray[np.uint8] = stored.reshape(-1, block_bytes)[:, _SCALE_BYTES[quantizer] :]
    if quantizer is Quantizer.Q8_0:
        return blocks
    fifth: Any = 0
    if quantizer in (Quantizer.Q5_0, Quantizer.Q5_1):
        fifth = np.unpackbits(blocks[:, :4], axis=1, bitorder="little")
        blocks = blocks[:, 4:]
    # The low halves of the sixteen bytes hold the first sixteen weights, the high halves the others.
    low: NDArray[np.uint8] = np.concatenate([blocks & 0x0F, blocks >> 4], axis=1)
    codes: NDArray[np.uint8] = low | (fifth << 4)
    return codes
