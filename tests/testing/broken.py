"""Plug-ins that break one promise each: what the checks must see. Their sound siblings break none."""

from __future__ import annotations

import itertools

import numpy as np

from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    Comparison,
    Dose,
    FactPreset,
    GroupReading,
    Measure,
    Needs,
    Parameters,
    Probe,
    Reading,
    Role,
    ScoreKind,
    SpecError,
    Writer,
)
from unlearn_audit.api.kit.printable import clean


class Nothing(Parameters):
    """No parameters."""


class Still(Attack[Nothing]):
    """Does nothing, and keeps the contract."""

    name, summary, paper, access, Parameters = "still", "Does nothing.", "", Access.PROMPTS, Nothing

    def arms(self, context):
        return (Arm(name="still"),)

    def doses(self, model, arm, context):
        yield Dose(label="still", value=0, model=model)


class WritesIntoWeights(Still):
    """Writes into the weights that it was given."""

    def doses(self, model, arm, context):
        next(model.module.parameters()).data.add_(1.0)
        yield Dose(label="written", value=1, model=model)


class WritesIntoTheOriginal(Still):
    """Writes into the original, which it was given for diagnostics."""

    def doses(self, model, arm, context):
        next(context.original().parameters()).data.add_(1.0)
        yield Dose(label="written", value=1, model=model)


class Swallows(Still):
    """Swallows an exception that it is left by."""

    def doses(self, model, arm, context):
        try:
            yield Dose(label="still", value=0, model=model)
        except KeyError:
            yield Dose(label="still", value=1, model=model)


class OtherEachTime(Still):
    """Gives another dose each time."""

    counter = itertools.count()

    def doses(self, model, arm, context):
        yield Dose(label="still", value=next(self.counter), model=model)


class LeavesFactsOut(Still):
    """Scores one fact alone."""

    def doses(self, model, arm, context):
        yield Dose(label="one", value=0, model=model, fact_ids=frozenset({context.forget[0].id}))


class MovesRandomness(Still):
    """Draws from torch's global generator."""

    def doses(self, model, arm, context):
        import torch

        torch.rand(1)
        yield Dose(label="still", value=0, model=model)


class Mumbles(Still):
    """Says nothing whole of itself."""

    summary = "does nothing"


class Even(Probe[Nothing]):
    """Gives every fact a half, and keeps the contract."""

    name, summary, paper, access, Parameters = "even", "Gives every fact a half.", "", Access.ACTIVATIONS, Nothing
    measures = (Measure(name="half", kind=ScoreKind.SOFT),)

    def observe(self, model, facts, pool):
        for fact in facts:
            yield Reading(fact_id=fact.id, measure="half", variant="question", score=0.5)


class Omits(Even):
    """Leaves the last fact out."""

    def observe(self, model, facts, pool):
        return itertools.islice(super().observe(model, facts, pool), len(facts) - 1)


class Invents(Even):
    """Scores a fact that nobody gave."""

    def observe(self, model, facts, pool):
        yield from super().observe(model, facts, pool)
        yield Reading(fact_id="unheard-of", measure="half", variant="question", score=0.5)


class DependsOnCompany(Even):
    """Scores by how many facts there are."""

    def observe(self, model, facts, pool):
        for fact in facts:
            yield Reading(fact_id=fact.id, measure="half", variant="question", score=1 / len(facts))


class JudgesItself(Even):
    """Calls what it likes a hit."""

    access = Access.PROMPTS
    measures = (Measure(name="hit", kind=ScoreKind.HIT),)

    def observe(self, model, facts, pool):
        for fact in facts:
            yield Reading(fact_id=fact.id, measure="hit", variant="question", score=1.0)


class Counts(Comparison[Nothing]):
    """Counts weights, and keeps the contract."""

    name, summary, paper, access, Parameters = "counts", "Counts weights.", "", Access.WEIGHTS, Nothing

    def extract(self, model, context):
        return {"weights": np.array([sum(weight.numel() for weight in model.module.parameters())])}

    def compare(self, models, context):
        checkpoint = next(one for one in models if one.role is Role.UNLEARNED)
        size = float(checkpoint.features["weights"][0])
        yield GroupReading(measure="weights", variant="", between=(checkpoint.name,), estimate=size)


class KeepsText(Counts):
    """Keeps what the model says."""

    def extract(self, model, context):
        return {**super().extract(model, context), "said": np.array(["London"])}


class NeverEnds(Counts):
    """Gives an estimate that is no number."""

    def compare(self, models, context):
        yield GroupReading(measure="weights", variant="", between=("unlearned",), estimate=float("nan"))


class Plain(Writer):
    """The sentence, and keeps the contract."""

    name, summary, file_name = "plain", "The sentence alone.", "sentence.txt"

    def render(self, material):
        return clean(material.document()["verdict"]["sentence"])


class Stamps(Plain):
    """Counts how often it was asked."""

    counter = itertools.count()

    def render(self, material):
        return f"{super().render(material)} ({next(self.counter)})"


class Raw(Plain):
    """Writes what it finds as it is."""

    def render(self, material):
        return material.document()["verdict"]["sentence"]


class AsksForNothing(Plain):
    """Says that it needs observations, and does not."""

    needs = Needs.OBSERVATIONS


class Pairs(FactPreset):
    """Rows of two, and keeps the contract."""

    name, summary, paper = "pairs", "Rows of q and a.", ""
    example = ({"q": "Where?", "a": "Here."}, {"q": "When?", "a": "Now."})

    def facts(self, rows):
        for row in rows:
            if set(row) != {"q", "a"}:
                raise SpecError(f"expected the columns q and a; got {', '.join(row)}; give the file as published")
            yield {"id": row["q"], "subject": row["q"], "question": row["q"], "answer": row["a"]}


class OneId(Pairs):
    """Gives all facts one id."""

    def facts(self, rows):
        return ({**fact, "id": "1"} for fact in super().facts(rows))


class OtherFields(Pairs):
    """Gives fields that no fact has."""

    def facts(self, rows):
        return ({**fact, "person": "x"} for fact in super().facts(rows))


class TakesAnything(Pairs):
    """Takes rows of whatever layout."""

    def facts(self, rows):
        for number, _ in enumerate(rows):
            yield {"id": str(number), "subject": "s", "question": "q", "answer": "a"}


class TellsTheSecret(Pairs):
    """Repeats the row in its error."""

    def facts(self, rows):
        if any("q" not in row for row in rows):
            raise SpecError(f"no q in {rows[0]}")
        return super().facts(rows)
