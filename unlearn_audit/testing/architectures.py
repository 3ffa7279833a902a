"""The architectures of which there are tiny models: what their configurations need besides the usual sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

USUAL: Mapping[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
GROUPED = {"num_key_value_heads": 2, "intermediate_size": 128}
EXPERTS = {**GROUPED, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "llama": GROUPED,
    "mistral": GROUPED,
    "gemma": {**GROUPED, "head_dim": 16},
    "gemma2": {**GROUPED, "head_dim": 16},
    "gemma3_text": {**GROUPED, "head_dim": 16},
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 16},
    "phi": {"intermediate_size": 128},
    "phi3": GROUPED,
    "olmo": GROUPED,
    "olmo2": GROUPED,
    "stablelm": GROUPED,
    "cohere": GROUPED,
    "granite": GROUPED,
    "starcoder2": GROUPED,
    "gpt_neox": {"intermediate_size": 128},
    "gptj": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256, "rotary_dim": 8},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "gpt_bigcode": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]},
    "opt": {"ffn_dim": 128, "word_embed_proj_dim": 64},
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {"alibi": False},
    "mixtral": {**EXPERTS, "num_local_experts": 4},
    "qwen2_moe": {**EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 64},
    "qwen3_moe": {**EXPERTS, "num_experts": 4, "head_dim": 16},
    "gpt_oss": {**EXPERTS, "num_local_experts": 4, "head_dim": 16, "layer_types": ["full_attention"] * 2},
    "granitemoe": {**EXPERTS, "num_local_experts": 4},
    "mamba": {"state_size": 8},
    "mamba2": {"state_size": 8, "num_heads": 8, "head_dim": 16, "n_groups": 2, "chunk_size": 16},
    "falcon_mamba": {"state_size": 8},
    "rwkv": {"attention_hidden_size": 64, "context_length": 256},
    "recurrent_gemma": {
        **GROUPED,
        "lru_width": 64,
        "attention_window_size": 64,
        "block_types": ["recurrent", "attention"],
    },
    "jamba": {
        **EXPERTS,
        "num_experts": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 8,
        "use_mamba_kernels": False,
    },
    "bamba": {
        **GROUPED,
        "attn_layer_indices": [1],
        "mamba_n_heads": 8,
        "mamba_d_head": 16,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 16,
    },
    "lfm2": {**GROUPED, "layer_types": ["conv", "full_attention"]},
}
"""Model type -> keys of its configuration. Those of `USUAL` that it has are set too."""

ARCHITECTURES = ("llama", "gpt2", "qwen3", "gpt_neox", "mamba")
"""A few that differ in what matters most; tests of every attack run over them."""
