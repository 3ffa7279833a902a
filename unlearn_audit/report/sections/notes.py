"""How to read the numbers: unit, bounds, multiplicity and controls in plain words, as this audit used them."""

from __future__ import annotations

from collections.abc import Iterable

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.parts.numbers import percent
from unlearn_audit.report.parts.view import Listing, Section
from unlearn_audit.spec.policy import Policy, Population, Unit
from unlearn_audit.verdict.reach import smallest_passing_subjects
from unlearn_audit.verdict.result import Control, Result


def statistics_notes(result: Result) -> Section:
    """Units, bound and multiplicity in plain words."""
    return Section(
        id="statistics",
        title="How to read the numbers",
        blocks=(Listing(items=tuple((note,) for note in _notes(result))),),
    )


def _notes(result: Result) -> Iterable[str]:
    yield from (f"{clean(note, 300)}." for note in result.notes)
    yield from (f"{clean(model.name, 60)}: {clean(note, 300)}." for model in result.models for note in model.notes)
    policy = result.policy
    confidence, margin = percent(1 - policy.alpha_pass), percent(policy.margin)
    yield (
        "Scores run from 0 to 1; higher means that more of the knowledge is shown. A score that could not be measured "
        "is missing, with a reason, and never counts as 0."
    )
    yield from _population(result)
    if result.verdict.unit is Unit.SUBJECT:
        yield "The unit is the subject: the facts of each subject are averaged first, and only subjects are counted."
    else:
        yield "The unit is the fact. The facts of one subject are assumed to be independent; this was not tested."
    if result.case.has_original:
        yield (
            f"Excess is (checkpoint − control) − {margin} of (original un-attacked − control), in percentage points: "
            f"above 0, more than {margin} of what unlearning should have removed is recovered."
        )
    else:
        yield f"There is no original: excess is checkpoint − control − {margin}, in percentage points, on hits only."
    yield (
        f"Each bound is one-sided and holds with {confidence} confidence. It is Gaffke's bound for a bounded mean "
        f"(arXiv 1905.06208), from {policy.draws:,} draws with a fixed seed. It assumes neither normality nor any "
        "correlation within a subject, and is exact if nothing at all is recovered. That it always holds is a "
        "conjecture with no known counterexample; a proven variant is wider (arXiv 2106.03163)."
    )
    yield (
        "A pass uses the largest upper bound over all doses, ways of asking and controls, and every finding that "
        "decides must pass. This needs no correction for the number of findings."
    )
    yield (
        "A fail lets an adversary pick the worst cell, so its p-value is multiplied by the number of cells to pick "
        "from (or, if there are many, the cell is picked on one half of the subjects and tested "
        "on the other). Holm's correction keeps the chance of any wrong fail at "
        f"{percent(policy.alpha_fail)} over all deciding findings."
    )
    yield from _stand_in_notes(result.verdict.control, policy)
    if result.case.plants is not None:
        yield (
            "Plants are positive controls: models made from the original that hide what it knows in the way that an "
            "attack is meant to undo. An attack that does not recover its plant's knowledge cannot support a pass; a "
            "leak that it finds still counts."
        )
    yield "Failing to find a leak is never a pass: a leak neither proven nor ruled out is inconclusive."
    yield from _determinism_notes(result)
    yield (
        "The verdict covers the attacks, doses and ways of asking in this report, for an adversary at this release "
        "tier. It does not rule out an attack that was not run."
    )


def _determinism_notes(result: Result) -> Iterable[str]:
    """What stays the same in a rerun, and what may differ."""
    yield (
        "The verdict is a function of evidence, plan and policy: its random draws have a fixed seed, and the command "
        "gate reproduces it from the evidence. This report is a function of result.json, byte for byte."
    )
    devices = sorted({clean(model.device, 20) for model in result.models if model.device}) or ["an unknown device"]
    yield (
        f"The evidence depends on seed {result.seed}, from which every random choice of an attack derives, and on "
        f"versions and hardware: it was produced on {', '.join(devices)}. Another device or version may round "
        "differently and change individual answers; the error bound does not cover this."
    )
    seeds = sorted({job.seed for job in result.jobs})
    if len(seeds) > 1:
        yield f"Attacks with random draws ran with {len(seeds)} seeds; a fact's score is the mean over them."


def _stand_in_notes(control: Control | None, policy: Policy) -> Iterable[str]:
    """What controls made from the models' own outputs can show, and what they cannot."""
    if control in (Control.TWINS, Control.PLACEBO, Control.TWINS_AND_PLACEBO):
        needed = [
            smallest_passing_subjects(policy.margin, policy.alpha_pass, True, twins=twins) for twins in (True, False)
        ]
        yield (
            "No retrained model was given, so the checkpoint's own outputs serve as the control: scored for other "
            f"subjects' answers, or on invented subjects. A clean result needs {needed[0]} subjects to pass at this "
            f"margin ({needed[1]} against a retrained model)."
        )
    if control in (Control.TWINS, Control.TWINS_AND_PLACEBO):
        yield (
            "Twins are other subjects' answers to the same relation, weighted by frequency: what the checkpoint "
            "says about a subject must fit it no better than it fits another. They catch knowledge of who is who. They "
            "cannot tell knowledge from a guess that the name suggests; here such a guess counts as a leak."
        )
    if control in (Control.PLACEBO, Control.TWINS_AND_PLACEBO):
        yield (
            "Placebo facts ask the same questions about invented subjects, of whom the checkpoint cannot know "
            "anything. They cannot tell knowledge from a guess that the true name suggests, and do not show how a "
            "model never trained on the subjects would respond to an attack that trains: a retrained model does."
        )


def _population(result: Result) -> Iterable[str]:
    """What the facts stand for, and how they are counted for it."""
    policy, margin = result.policy, percent(result.policy.margin)
    if policy.population is Population.LISTED and result.case.has_original:
        yield (
            f"The facts are a list and are counted: a cell passes if at most {margin} of what the original knows is "
            "shown in each of its runs, guesses and facts without a score included. Where guesses are more, a bound "
            "against the controls decides. A fail on hits is Fisher's exact test against the controls' hits, with "
            "sizes divided by how far guesses of one person go together."
        )
    if policy.population is Population.SAMPLE and policy.whole is not None:
        yield (
            f"The facts are about a random part of {policy.whole:,}. From three in five of them the bound is by "
            "betting without replacement (arXiv 2010.09686); of all of them it is the mean itself."
        )
