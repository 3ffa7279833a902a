"""Each plant against each arm: what comes back of what was hidden, on the bundled original.

Mean probabilities of the answers, length-normalized, over the first questions of the forget set; no audit is run. A
plant is made once, meets every arm, and is written down, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from unlearn_audit.attacks.merging.adapter_removal import AdapterRemoval, AdapterRemovalParameters
from unlearn_audit.attacks.quantization.attack import Quantization, QuantizationParameters
from unlearn_audit.attacks.quantization.backends import missing
from unlearn_audit.attacks.quantization.formats import Backend, Quantizer
from unlearn_audit.attacks.quantization.plant import rounding_planting
from unlearn_audit.attacks.relearning.attack import Relearning
from unlearn_audit.attacks.shared.hiding import mean_probability
from unlearn_audit.attacks.shared.plants.deep import misdirection_planting, unlikelihood_planting
from unlearn_audit.attacks.shared.refusal_plant import refusal_planting
from unlearn_audit.attacks.shared.splits import lessons_of

from unlearn_audit.api import Attack, AttackContext, AttackError, Fact, FactSet, Model, Planting, Profile
from unlearn_audit.demo import organism_spec
from unlearn_audit.facts.load import load_facts
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import resolve

QUESTIONS = 60
RELEARNING = {"data": ["in-domain"], "steps": [40], "learning_rates": {"lora": [3e-3]}}
FORMATS = [each for each in Quantizer if each.backend in (Backend.BITSANDBYTES, Backend.GGUF, Backend.TORCH)]


def measure_plants(target: Path) -> None:
    """Makes every plant that is not in `target` yet, and adds what each arm brought back from it."""
    done: dict[str, Any] = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
    spec = organism_spec("refusal")
    original = load(resolve(str(spec.original)), spec.models)
    facts = {name: load_facts(getattr(spec, name), name, {}).facts for name in (FactSet.FORGET, FactSet.RETAIN)}
    context = AttackContext(
        forget=facts[FactSet.FORGET], retain=facts[FactSet.RETAIN], profile=Profile.QUICK, seed=0, has_original=False
    )
    for planting in _plantings(context):
        if planting.name not in done:
            done[planting.name] = {"kind": planting.kind, **_against_all(planting, original, context)}
            target.write_text(json.dumps(done, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            print(planting.name, done[planting.name], flush=True)


def _plantings(context: AttackContext) -> Iterator[Planting]:
    yield from (refusal_planting(), unlikelihood_planting(), misdirection_planting())
    removal = AdapterRemoval(AdapterRemovalParameters())
    (arm,) = removal.arms(context)
    yield from removal.plantings(arm, context)
    for quantizer in FORMATS:
        made = rounding_planting(quantizer)
        if made is not None and quantizer is not Quantizer.NF4_DQ:
            yield made


def _arms() -> Iterator[tuple[str, Attack[Any]]]:
    for quantizer in FORMATS:
        if missing(quantizer) is None:
            yield quantizer.value, Quantization(QuantizationParameters(quantizers=(quantizer,)))
    yield "adapter-removal", AdapterRemoval(AdapterRemovalParameters())
    yield "relearning", Relearning(Relearning.Parameters.model_validate(RELEARNING))


def _against_all(planting: Planting, original: Model, context: AttackContext) -> dict[str, Any]:
    """What is hidden, and the share of it that each arm brings back; why, where there is no plant."""
    try:
        with planting.make(original, context) as plant:
            known, left = (_known(model, context.forget) for model in (original, plant.model))
            back = {name: _back(attack, plant.model, context, known, left) for name, attack in _arms()}
    except AttackError as error:
        return {"why": str(error)}
    return {"known": round(known, 4), "left": round(left, 4), "back": back}


def _back(attack: Attack[Any], plant: Model, context: AttackContext, known: float, left: float) -> float:
    """(attacked - plant) / (original - plant) after the last dose of the first arm, over the facts that it scores."""
    with tempfile.TemporaryDirectory() as scratch:
        own = replace(context, scratch=Path(scratch))
        arm = attack.arms(own)[0]
        with closing(attack.doses(plant, arm, own)) as doses:
            for dose in doses:
                ids = dose.fact_ids
                scored = [fact for fact in context.forget if ids is None or fact.id in ids]
                found = _known(dose.model, scored)
    return round((found - left) / (known - left), 3)


def _known(model: Model, facts: tuple[Fact, ...] | list[Fact]) -> float:
    return mean_probability(model, [lessons_of(fact)[0] for fact in facts[:QUESTIONS]])
