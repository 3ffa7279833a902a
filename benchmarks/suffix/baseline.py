"""Runs nanoGCG on goals, one by one, and prints one JSON object a goal. For an environment of its own (README.md)."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import nanogcg
import torch
from nanogcg import gcg
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def load(directory: Path, dtype: torch.dtype) -> tuple[torch.nn.Module, PreTrainedTokenizerFast]:
    """The checkpoint as transformers 4 reads it: it knows neither `rope_parameters` nor the tokenizer's class."""
    written = json.loads((directory / "config.json").read_text())
    config = AutoConfig.from_pretrained(directory)
    config.rope_theta = written.get("rope_parameters", written).get("rope_theta", 10000.0)
    model = AutoModelForCausalLM.from_pretrained(directory, config=config, torch_dtype=dtype).to(DEVICE)
    special = json.loads((directory / "tokenizer_config.json").read_text())
    names = {name: special[name] for name in ("bos_token", "eos_token", "pad_token", "unk_token") if special.get(name)}
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"), **names)
    tokenizer.chat_template = (directory / "chat_template.jinja").read_text()
    return model, tokenizer


class Watch:
    """Notes when nanoGCG logs its buffer (once before the first step, then after each) and what it keeps to score."""

    def __init__(self) -> None:
        self.clear()
        log, keep = gcg.AttackBuffer.log_buffer, gcg.filter_ids

        def logged(buffer: Any, tokenizer: Any) -> None:
            self.wall.append(time.perf_counter())
            self.cpu.append(time.process_time())
            log(buffer, tokenizer)

        def kept(ids: torch.Tensor, tokenizer: Any) -> torch.Tensor:
            found = keep(ids, tokenizer)
            self.scored += len(found)
            return found

        gcg.AttackBuffer.log_buffer, gcg.filter_ids = logged, kept

    def clear(self) -> None:
        """Begins anew."""
        self.wall: list[float] = [time.perf_counter()]
        self.cpu: list[float] = [time.process_time()]
        self.scored = 0


def main() -> None:
    """Reads settings from the command line and goals from standard input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--initial", required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    model, tokenizer = load(options.model, getattr(torch, options.dtype))
    watch = Watch()
    for goal in json.load(sys.stdin):
        config = nanogcg.GCGConfig(
            num_steps=options.steps,
            optim_str_init=options.initial,
            search_width=options.width,
            topk=256,
            seed=options.seed,
            verbosity="ERROR",
        )
        messages = [{"role": "user", "content": goal["question"] + " {optim_str}"}]
        watch.clear()
        result = nanogcg.run(model, tokenizer, messages, goal["target"], config)
        found = {
            "wall": [moment - watch.wall[0] for moment in watch.wall[-options.steps :]],
            "cpu": [moment - watch.cpu[0] for moment in watch.cpu[-options.steps :]],
            "losses": result.losses,
            "scored": watch.scored,
            "text": result.best_string,
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
