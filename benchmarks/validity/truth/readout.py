"""The first oracle: what a linear readout of the activations can still tell.

No audit sees it, and no attack is of its kind: the battery asks, rounds and retrains, the oracle does none of these. It
looks at the residual stream after the last token of the prompt, before anything is said, and fits a linear classifier
from there to the answer's value. The classifier is given answers of other subjects alone, of the retain set and of one
half of the forget set, and is scored on the other half: it can only find what the model itself looks up.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from benchmarks.validity.making.building import is_built, quieten, read_card
from benchmarks.validity.making.zoo import recipes
from benchmarks.validity.paths import Home, reach_organisms
from benchmarks.validity.people.texts import Text, Writer
from benchmarks.validity.people.worlds import People, Split, World, populate

reach_organisms()

from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel  # noqa: E402

READOUT = "readout"
FOLDS = 2
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The questions of one relation about one group of people.

    Attributes:
        states: shape (layers, questions, width), the residual stream after each block.
        values: the true answer of each question.
        folds: which half the subject of each question is in; no subject is in two.
    """

    states: FloatArray
    values: NDArray[np.str_]
    folds: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Readout:
    """What the classifier got right, by layer, shape (layers,): on retain subjects, and on forget subjects."""

    retain: FloatArray
    forget: FloatArray

    @property
    def layer(self) -> int:
        """The layer that tells most about the retain set, which every organism was trained on."""
        return int(np.argmax(self.retain))


def read_out(folder: Path, people: People) -> dict[str, Any]:
    """The readout of one organism: accuracies by layer, the layer chosen on the retain set, and its forget accuracy."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    writer = Writer(tokenizer=AutoTokenizer.from_pretrained(folder))
    relations = sorted({fact.relation for fact in people.forget.facts})
    found = [
        readout(asked(model, writer, people.forget, relation), asked(model, writer, people.retain, relation))
        for relation in relations
    ]
    total = Readout(
        retain=np.mean([one.retain for one in found], axis=0), forget=np.mean([one.forget for one in found], axis=0)
    )
    return {
        "layer": total.layer,
        "forget": round(float(total.forget[total.layer]), 4),
        "forget_by_layer": [round(float(value), 4) for value in total.forget],
        "retain_by_layer": [round(float(value), 4) for value in total.retain],
    }


def asked(model: PreTrainedModel, writer: Writer, split: Split, relation: str) -> Asked:
    """Every question of a relation, in every form, with the model's state before it answers."""
    facts = [fact for fact in split.facts if fact.relation == relation]
    subjects = sorted({fact.subject for fact in facts})
    pairs = [(fact, question) for fact in facts for question in fact.questions]
    texts = writer.answered([question for _, question in pairs], ["" for _ in pairs])
    return Asked(
        states=states_at_end(model, texts),
        values=np.array([fact.value for fact, _ in pairs]),
        folds=np.array([subjects.index(fact.subject) % FOLDS for fact, _ in pairs], dtype=np.intp),
    )


@torch.inference_mode()
def states_at_end(model: PreTrainedModel, texts: Sequence[Text], size: int = 128) -> FloatArray:
    """The residual stream after each block at the last prompt token, shape (layers, texts, width)."""
    parts = []
    for start in range(0, len(texts), size):
        part = texts[start : start + size]
        length = max(len(text.prompt) for text in part)
        input_ids = torch.zeros(len(part), length, dtype=torch.long)
        mask = torch.zeros_like(input_ids)
        for row, text in enumerate(part):
            input_ids[row, : len(text.prompt)] = torch.tensor(text.prompt)
            mask[row, : len(text.prompt)] = 1
        layers = model(input_ids=input_ids, attention_mask=mask, output_hidden_states=True).hidden_states[1:]
        rows, ends = torch.arange(len(part)), mask.sum(dim=1) - 1
        parts.append(torch.stack([layer[rows, ends] for layer in layers]))
    return torch.cat(parts, dim=1).double().numpy()


def readout(forget: Asked, retain: Asked) -> Readout:
    """Cross-fitted accuracies of one relation.

    Forget subjects of a half are told by a classifier of the retain set and the other half; retain subjects of a half
    by one of the other half of the retain set alone.
    """
    layers = range(len(forget.states))
    on_forget = [
        [_accuracy((_of(retain, None), _of(forget, 1 - fold)), _of(forget, fold), layer) for fold in range(FOLDS)]
        for layer in layers
    ]
    on_retain = [
        [_accuracy((_of(retain, 1 - fold),), _of(retain, fold), layer) for fold in range(FOLDS)] for layer in layers
    ]
    return Readout(retain=np.mean(on_retain, axis=1), forget=np.mean(on_forget, axis=1))


def _of(one: Asked, fold: int | None) -> Asked:
    """The questions about the subjects of a half, or all."""
    if fold is None:
        return one
    kept = one.folds == fold
    return Asked(states=one.states[:, kept], values=one.values[kept], folds=one.folds[kept])


def _accuracy(known: Sequence[Asked], scored: Asked, layer: int) -> float:
    features = np.concatenate([one.states[layer] for one in known])
    values = np.concatenate([one.values for one in known])
    scaler = StandardScaler().fit(features)
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier.fit(scaler.transform(features), values)
    return float(np.mean(classifier.predict(scaler.transform(scored.states[layer])) == scored.values))


def read_all(home: Home, worlds: Sequence[World], *, workers: int) -> None:
    """Reads out every organism of the worlds that was built and not yet read."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=quieten) as pool:
        waiting = [
            pool.submit(_read_one, home, world, recipe.name)
            for world in worlds
            for recipe in recipes(world)
            if is_built(home.world(world.name), recipe)
        ]
        for done in waiting:
            print(done.result(), flush=True)


def _read_one(home: Home, world: World, name: str) -> str:
    target, folder = home.oracle(READOUT, world.name, name), home.organism(world.name, name)
    settings = read_card(folder)["settings"]
    if not target.is_file() or json.loads(target.read_text(encoding="utf-8"))["settings"] != settings:
        found = {"settings": settings, **read_out(folder, populate(world))}
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(".tmp")
        scratch.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        scratch.replace(target)
    return f"{world.name} {name}: {json.loads(target.read_text(encoding='utf-8'))}"
