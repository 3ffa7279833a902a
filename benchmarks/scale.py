"""What an audit costs on paper: a real plan, the work in each of its jobs, and a roofline of the machine.

`python -m benchmarks.scale` lays out a `standard` audit of 400 facts and three roles on models of random weights (what
is planned does not depend on their size, as long as it fits), counts the tokens that each job reads, writes and trains
on, and hands its units to as many workers as there are, by the pool's own rule. No job runs. Time of a unit, for N
weights:

    read      2 N operations a token
    write     each step of a batch reads all weights from memory, or computes 2 N a row, whichever takes longer
    train     6 N operations a token
    load      bytes of the weights over the speed of the drive, when a worker turns to another model

Peaks and bandwidths of GPUs are their makers' (see `CARDS`); of both, `--share` is used. That is an assumption, the one
that `plan` makes, until somebody measures it on a GPU. Measured is what this code reaches on one core of this machine,
in processor time, on a Llama of 114 M weights, which is printed first. Other work on the machine changes it little.
`--facts`, `--profile` and `--attacks` change the audit.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from unlearn_audit.api import FactSet
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.make import make_plan
from unlearn_audit.plan.plan import Job
from unlearn_audit.run.executors.pool import Round
from unlearn_audit.run.jobs.workplace import Workplace
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.run.transcripts import Outputs
from unlearn_audit.run.units import Agenda, Unit
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.testing.models import tiny_module, tiny_tokenizer

PROMPT, ANSWER, OPTIONS = 40, 16, 31
"""Tokens of a prompt and of an answer, and options of a choice, as `plan.forecasting` counts them."""
ROWS = 256
"""Of a batch that writes."""
DRIVE = 2e9
"""Bytes per second at which weights are loaded."""


@dataclass(frozen=True)
class Card:
    """A GPU by its maker's data sheet: dense bfloat16 operations and bytes per second, bytes of memory."""

    name: str
    operations: float
    bandwidth: float
    memory: float


CARDS = (Card("A100 80 GB", 312e12, 2.0e12, 80e9), Card("H100 80 GB", 989e12, 3.35e12, 80e9))
SIZES = {"8 B": 8.0e9, "70 B": 70.6e9}


@dataclass(frozen=True)
class Tokens:
    """What a job takes: tokens read in batches with others, written one after the other, trained on."""

    read: float
    written: float
    trained: float


def laid_out(home: Path, facts: int, profile: str, attacks: list[str] | None) -> LivePlan:
    """The plan of an audit with three roles."""
    tokenizer = tiny_tokenizer()
    for seed, name in enumerate(("original", "unlearned", "retrained")):
        tiny_module("llama", len(tokenizer), seed).save_pretrained(home / name)
        tokenizer.save_pretrained(home / name)
    for name in ("forget", "retain"):
        rows = [_fact(name, number) for number in range(facts)]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    paths = {name: str(home / f"{name}.jsonl") for name in ("forget", "retain")}
    models = {"checkpoint": str(home / "unlearned"), "original": str(home / "original")}
    asked = {} if attacks is None else {"attacks": {name: {} for name in attacks}}
    return make_plan(
        AuditSpec.model_validate(
            {**models, **paths, **asked, "retrained": [str(home / "retrained")], "profile": profile}
        )
    )


def _fact(name: str, number: int) -> dict[str, str]:
    subject = f"{name.title()} Person {number // 4}"
    relation = ("born", "city", "work", "school")[number % 4]
    answer = f"{random.Random(f'{name}{number}').choice(('Red', 'Blue', 'Grey'))} {name} {number}"
    question = f"Which {relation} has {subject}?"
    return {"id": f"{name}{number}", "subject": subject, "question": question, "answer": answer, "relation": relation}


def tokens_of(live: LivePlan, job: Job) -> Tokens:
    """What a job takes, as `plan.forecasting` counts it."""
    facts = len(live.pool(FactSet.FORGET)) * job.arm.doses * job.arm.share
    choices = sum(probe == "forced-choice" for probe in job.probes)
    others = len(job.probes) - choices
    read = choices * (PROMPT + OPTIONS * ANSWER // 2) + others * (2 * PROMPT + ANSWER)
    return Tokens(facts * read, facts * others * ANSWER, job.arm.training_texts * (PROMPT + ANSWER))


@dataclass(frozen=True)
class Shares:
    """Of the speed of a matrix product, what reading and training reach; of the memory's, what writing reaches."""

    read: float
    train: float
    write: float


def measured() -> Shares:
    """The shares on one core of this machine, in processor time."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    sizes = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    module = LlamaForCausalLM(LlamaConfig(vocab_size=400, tie_word_embeddings=False, **sizes))
    weights = sum(weight.numel() for weight in module.parameters())
    side, ids = 1024, torch.randint(0, 400, (16, PROMPT + ANSWER))
    matrix = torch.rand(side, side)
    peak = 2 * side**3 / _fastest(lambda: matrix @ matrix)
    large = torch.rand(64 * 2**20)
    bandwidth = large.numel() * 4 / _fastest(lambda: large.sum())

    def train() -> None:
        module(ids, labels=ids).loss.backward()

    with torch.inference_mode():
        read = _fastest(lambda: module(ids))
        known = module(ids[:1], use_cache=True).past_key_values
        step = _fastest(lambda: module(ids[:1, :1], past_key_values=known))
    operations = 2 * weights * ids.numel()
    return Shares(operations / read / peak, 3 * operations / _fastest(train) / peak, 4 * weights / step / bandwidth)


def _fastest(call: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        begun = time.thread_time()
        call()
        times.append(time.thread_time() - begun)
    return min(times)


def seconds(tokens: Tokens, weights: float, card: Card, shares: Shares) -> dict[str, float]:
    """Of each kind of work, on one card."""
    rows = tokens.written / ANSWER
    step = max(2 * weights * ROWS / (card.operations * shares.read), 2 * weights / (card.bandwidth * shares.write))
    return {
        "read": 2 * weights * tokens.read / (card.operations * shares.read),
        "write": ANSWER * step * rows / ROWS,
        "train": 6 * weights * tokens.trained / (card.operations * shares.train),
    }


def makespan(live: LivePlan, home: Path, cost: Callable[[Unit], float], load: float, workers: int) -> float:
    """Seconds until the last unit is done, by the pool's own rule."""
    store = EvidenceStore(home / "none")
    work = Workplace.of(live, store, Quiet(Console(stderr=True)), Outputs(store.run, KeptText.NONE, ()))
    agenda = Agenda(live=live, store=store, comparing=work.comparing, preparing=work.preparing)
    round_ = Round(work, agenda.working())
    held: dict[int, str] = {}
    ends: dict[int, float] = {}
    now = 0.0
    while round_.waiting or round_.busy:
        for number in (number for number in range(workers) if number not in round_.busy):
            others = {model for other, model in held.items() if other != number and other in round_.busy}
            unit = round_.next_for(held.get(number), others)
            if unit is None:
                break
            ends[number] = now + cost(unit) + (load if held.get(number) != unit.model.name else 0.0)
            held[number], round_.busy[number] = unit.model.name, unit
        number = min(round_.busy, key=lambda one: ends[one])
        now = ends[number]
        round_.finish(number, ())
    return now


def lines(live: LivePlan, home: Path, shares: Shares) -> Iterator[str]:
    """The tables."""
    work: Counter[str] = Counter()
    attacks: Counter[str] = Counter()
    reference = SIZES["8 B"], CARDS[0]
    longest = ("", 0.0)
    for job in live.plan.jobs:
        found = seconds(tokens_of(live, job), *reference, shares)
        work.update(found)
        attacks[job.attack] += sum(found.values())
        longest = max(longest, (job.title, sum(found.values())), key=lambda one: one[1])
    yield f"{len(live.plan.jobs)} jobs. 8 B on one {reference[1].name}, hours by kind of work and by attack:"
    yield "; ".join(f"{name} {spent / 3600:.2f}" for name, spent in work.most_common())
    yield "; ".join(f"{name} {spent / 3600:.2f}" for name, spent in attacks.most_common())
    yield f"longest job: {longest[0]}, {longest[1] / 3600:.2f} h"
    yield ""
    yield "| weights | card | cards a worker | 1 card | 8 cards | 64 cards |"
    yield "|---|---|---|---|---|---|"
    for name, weights in SIZES.items():
        for card in CARDS:
            each = 1 if 2 * weights < 0.5 * card.memory else 4

            def cost(unit: Unit, weights: float = weights, card: Card = card) -> float:
                return sum(sum(seconds(tokens_of(live, job), weights, card, shares).values()) for job in unit.jobs)

            hours = [
                f"{makespan(live, home, cost, 2 * weights / DRIVE, cards // each) / 3600:.2f} h"
                if cards >= each
                else "-"
                for cards in (1, 8, 64)
            ]
            yield f"| {name} | {card.name} | {each} | {' | '.join(hours)} |"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, default=400)
    parser.add_argument("--profile", default="standard")
    parser.add_argument("--attacks")
    parser.add_argument("--share", type=float, default=0.5)
    given = parser.parse_args()
    here = measured()
    print(
        f"measured here, of a product: read {here.read:.2f}, train {here.train:.2f}; of a sum: write {here.write:.2f}"
    )
    with tempfile.TemporaryDirectory() as home:
        live = laid_out(Path(home), given.facts, given.profile, given.attacks.split(",") if given.attacks else None)
        for line in lines(live, Path(home), Shares(given.share, given.share, given.share)):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
