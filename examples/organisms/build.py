"""Build the bundled model organisms: `python examples/organisms/build.py --out unlearn_audit/demo/assets --seed 0`.

An organism that is on disk and in the ledger as this build would make it is left alone, so a killed build resumes.
With `--measure` its weights are left alone, too, and what they show is measured again.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from data import make_world, write_facts
from ledger import Entry, Ledger, file_digest
from measuring import measure, same_nf4_codes
from methods import Bench
from promises import broken_promises
from recipes import Recipe, recipes
from table import write_table
from tokenizer import train_tokenizer

README = Path(__file__).with_name("README.md")


def main() -> int:
    """Build what is missing, measure it, and say which promises it does not keep (exit code 1 if any)."""
    arguments = _arguments()
    torch.set_num_threads(1)  # more threads sum in another order: other weights
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    world = make_world(arguments.seed)
    write_facts(world, arguments.out / "facts")
    tokenizer = train_tokenizer(world)
    ledger = Ledger(
        path=arguments.out / "organisms.json",
        seed=arguments.seed,
        inputs=_digests_of_inputs(arguments.out, tokenizer),
    )
    for recipe in recipes():
        if arguments.only and recipe.name not in arguments.only:
            continue
        bench = Bench(
            name=recipe.name,
            settings=recipe.settings,
            world=world,
            tokenizer=tokenizer,
            seed=arguments.seed,
            out=arguments.out,
        )
        _settle(bench, ledger, recipe, measure_again=arguments.measure)
    built = ledger.entries()
    entries = [built[recipe.name] for recipe in recipes() if recipe.name in built]
    if not arguments.only:
        write_table(README, entries)
    problems = broken_promises(entries)
    print("\n".join(problems) or "every promise is kept")
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder for facts, organisms and ledger")
    parser.add_argument("--seed", type=int, default=0, help="decides people, order and initial weights")
    parser.add_argument("--measure", action="store_true", help="measure again what is already there")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="build these organisms alone")
    return parser.parse_args()


def _digests_of_inputs(out: Path, tokenizer: PreTrainedTokenizerFast) -> dict[str, str]:
    """Digests of the fact files and of the tokenizer, by name."""
    facts = sorted((out / "facts").glob("*.jsonl"))
    vocabulary = tokenizer.backend_tokenizer.to_str().encode()
    return {"tokenizer": hashlib.sha256(vocabulary).hexdigest(), **{path.name: file_digest(path) for path in facts}}


def _settle(bench: Bench, ledger: Ledger, recipe: Recipe, *, measure_again: bool) -> None:
    """Build, measure and record the organism, as far as it is not done yet."""
    current = ledger.is_current(recipe)
    if current and not measure_again:
        print(f"{recipe.name}: already there", flush=True)
        return
    start = time.process_time()
    if not current:
        _build(bench, recipe)
    measured = _measured(bench, recipe)
    ledger.record(recipe, measured)
    print(f"{recipe.name}: {time.process_time() - start:.0f} s of one core, {measured}", flush=True)


def _build(bench: Bench, recipe: Recipe) -> None:
    folder = bench.out / recipe.name
    recipe.make(bench).eval().half().save_pretrained(folder)
    bench.tokenizer.save_pretrained(folder)


def _measured(bench: Bench, recipe: Recipe) -> Entry:
    """What the organism on disk shows; whether its NF4 codes are the original's is asked of unlearned ones alone."""
    folder = bench.out / recipe.name
    entry: Entry = {"hits": measure(folder, bench.world)}
    if recipe.role == "unlearned":
        entry["nf4_equals_original"] = same_nf4_codes(folder, bench.out / "original")
    return entry


if __name__ == "__main__":
    sys.exit(main())
