"""A GGUF file as it is served, whatever kinds of blocks it mixes: its own values, and the attack on top of them."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast
from unlearn_audit.attacks.quantization.formats import Quantizer
from unlearn_audit.attacks.shared.linear_layers import linear_layers

from tests.attacks.quantization.test_quantization import doses
from unlearn_audit.api import Prompt
from unlearn_audit.errors import AuditError
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import Storage, resolve
from unlearn_audit.spec.spec import ModelOptions

WIDTH = 256  # of a K-quant's block
NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
# Where the half-precision scales stand in a block of the kinds that `gguf` reads and cannot write.
SCALES = {
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "IQ4_NL": (0,),
    "IQ4_XS": (0,),
}
LAYERS = (tuple(SCALES), ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "BF16"))


def stored(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A matrix of this kind, as bytes: rounded by `gguf` where it can, else random codes under small scales."""
    kind_of = gguf.GGMLQuantizationType[kind]
    if kind not in SCALES:
        return gguf.quants.quantize(rng.normal(scale=0.05, size=(WIDTH, WIDTH)).astype(np.float32), kind_of)
    values, size = gguf.GGML_QUANT_SIZES[kind_of]
    blocks = rng.integers(0, 256, (WIDTH * WIDTH // values, size), dtype=np.uint8)
    for place in SCALES[kind]:
        blocks[:, place : place + 2] = np.full((len(blocks), 1), 1e-4, np.float16).view(np.uint8)
    return blocks.reshape(WIDTH, -1)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> tuple[Path, dict]:
    """Such a file, and what each of its matrices stands for."""
    path, rng, values = tmp_path_factory.mktemp("gguf") / "model-mixed.gguf", np.random.default_rng(0), {}
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("mixed")
    writer.add_block_count(len(LAYERS))
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(tokenizer))
    add_tokenizer(writer, tokenizer)
    writer.add_tensor("token_embd.weight", rng.normal(size=(len(tokenizer), WIDTH)).astype(np.float16))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for place, kinds in enumerate(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{place}.{name}.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v"):
            writer.add_tensor(f"blk.{place}.{name}.bias", np.zeros(WIDTH, np.float32))
        for name, kind in zip(NAMES, kinds, strict=True):
            matrix = stored(kind, rng)
            writer.add_tensor(f"blk.{place}.{name}.weight", matrix, raw_dtype=gguf.GGMLQuantizationType[kind])
            exact = gguf.quants.dequantize(matrix, gguf.GGMLQuantizationType[kind])
            values[f"model.layers.{place}.{NAMES[name]}"] = kind, torch.tensor(exact)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, values


@pytest.fixture(scope="module")
def served(written: tuple[Path, dict]) -> tuple[Engine, dict]:
    """The model in the file, and the same."""
    path, values = written
    checkpoint = resolve(str(path))
    assert checkpoint.storage is Storage.GGUF
    return load(checkpoint, ModelOptions(device="cpu", dtype="float32")), values


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast) -> None:
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = [tokenizer.convert_ids_to_tokens(place) for place in range(len(tokenizer))]
    special = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in core["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)


def test_every_kind_of_block_is_read_as_it_stands_in_the_file(served: tuple[Engine, dict]) -> None:
    engine, values = served
    layers = {layer.name: layer.weight for layer in linear_layers(engine.module)}
    assert set(layers) == set(values)
    for name, (kind, expected) in values.items():
        assert torch.equal(layers[name], expected), kind
        assert 1e-4 < expected.std() < 1.0, kind
    (score,) = engine.score([(Prompt(text="What is the capital of France?"), "Paris")])
    assert score.log_likelihood < 0


def test_quantization_rounds_what_the_file_says_once_more(served: tuple[Engine, dict]) -> None:
    engine, values = served
    with closing(doses(engine, Quantizer.Q8_0)) as attacked:
        dose = next(attacked)
        after = {layer.name: layer.weight for layer in linear_layers(dose.model.module)}
    assert dose.value == 8.5
    for name, (kind, before) in values.items():
        # What is in the format already stays bit for bit; all else moves by a rounding.
        assert torch.equal(after[name], before) is (kind == "Q8_0"), kind
        assert (after[name] - before).norm() < 0.02 * before.norm()


def test_an_adapter_on_such_a_file_is_loaded_and_merged(written: tuple[Path, dict], tmp_path: Path) -> None:
    path, values = written
    layer = "model.layers.1.self_attn.q_proj"
    down, up = torch.randn(2, WIDTH) * 0.1, torch.randn(WIDTH, 2) * 0.1
    shapes = {"lora_A": torch.zeros(2, WIDTH), "lora_B": torch.zeros(WIDTH, 2)}
    tensors = {f"model.layers.0.self_attn.q_proj.{part}": value for part, value in shapes.items()}
    tensors |= {f"{layer}.lora_A": down, f"{layer}.lora_B": up}
    save_file(
        {f"base_model.model.{name}.weight": value.contiguous() for name, value in tensors.items()},
        tmp_path / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
    (tmp_path / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": str(path)}))
    checkpoint = resolve(str(tmp_path))
    assert checkpoint.storage is Storage.ADAPTER and checkpoint.base.storage is Storage.GGUF
    engine = load(checkpoint, ModelOptions(device="cpu", dtype="float32"))
    assert engine.renderer.chat_template is not None  # the file's own
    with engine.merged() as whole:
        weights = {one.name: one.weight for one in linear_layers(whole.module)}
    assert torch.allclose(weights[layer], values[layer][1] + 2.0 * up @ down, atol=1e-5)
    assert torch.equal(weights["model.layers.0.mlp.up_proj"], values["model.layers.0.mlp.up_proj"][1])
    shutil.copy(path, tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": path.name}))
    with pytest.raises(AuditError, match=r"lies beside an adapter_config\.json; move the \.gguf file to a folder"):
        resolve(str(tmp_path))
