"""How much of the facts a model shows: mean answer probability, and greedy answers that hold the key."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from chat import Example, answer_log_probs, bucketed_batches, load_examples
from entities import normalize
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
SETS = ("forget", "retain", "holdout")


def mean_probability(model: Any, examples: Sequence[Example], batch_size: int = 16) -> float:
    """Mean over facts of the geometric per-token probability of the true answer."""
    values: list[float] = []
    with torch.inference_mode():
        for batch in bucketed_batches(examples, batch_size, "evaluate"):
            values += answer_log_probs(model, batch).answer_probability().tolist()
    return sum(values) / len(values)


def of_subjects(examples: Sequence[Example], subjects: int) -> list[Example]:
    """The facts of evenly spread subjects, so that a short check sees the whole set."""
    names = list(dict.fromkeys(e.subject for e in examples))
    kept = {names[i * len(names) // subjects] for i in range(min(subjects, len(names)))}
    return [e for e in examples if e.subject in kept]


def greedy_hits(model: Any, tokenizer: Any, examples: Sequence[Example], max_new_tokens: int = 48) -> float:
    """Share of greedy answers in which an alias occurs, both normalized."""
    hits = 0
    for batch in bucketed_batches(examples, 20, "generate"):
        width = max(len(e.prompt) for e in batch)
        token_ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(e.prompt)) + list(e.prompt) for e in batch])
        real = torch.tensor([[0] * (width - len(e.prompt)) + [1] * len(e.prompt) for e in batch])
        with torch.inference_mode():
            out = model.generate(
                input_ids=token_ids, attention_mask=real, do_sample=False, max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
        texts = tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
        hits += sum(is_hit(text, e.aliases) for text, e in zip(texts, batch, strict=True))
    return hits / len(examples)


def is_hit(text: str, aliases: Sequence[str]) -> bool:
    """Whether an alias stands in the text as whole words."""
    said = f" {normalize(text)} "
    return any(f" {normalize(alias)} " in said for alias in aliases)


def evaluate(model_dir: Path, data_dir: Path, hit_subjects: int) -> dict[str, dict[str, float]]:
    """Answer probability on every fact, and greedy hits on `hit_subjects` subjects, of each set."""
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    result: dict[str, dict[str, float]] = {}
    for name in SETS:
        started = time.monotonic()
        examples = load_examples(data_dir / f"{name}.jsonl", tokenizer)
        probability = mean_probability(model, examples)
        hits = greedy_hits(model, tokenizer, of_subjects(examples, hit_subjects))
        result[name] = {"answer_probability": round(probability, 4), "greedy_hits": round(hits, 4)}
        seconds = time.monotonic() - started
        print(
            f"{model_dir.name} {name}: probability {probability:.3f}, greedy hits {hits:.3f} ({seconds:.0f} s)",
            flush=True,
        )
    return result


def main() -> None:
    """Print the evaluation of one model directory as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "smollm2_tofu")
    parser.add_argument("--hit-subjects", type=int, default=20)
    args = parser.parse_args()
    print(json.dumps(evaluate(args.model, args.data, args.hit_subjects), indent=2))


if __name__ == "__main__":
    main()
