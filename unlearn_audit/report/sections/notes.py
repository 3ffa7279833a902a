"""How to read the numbers: unit, bounds, multiplicity and controls in plain words, as the audit at hand used them."""

from __future__ import annotations

from collections.abc import Iterable

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.parts.numbers import percent
from unlearn_audit.report.parts.view import Listing, Section
from unlearn_audit.spec.policy import Policy, Unit
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
    policy = result.policy
    confidence, margin = percent(1 - policy.alpha), percent(policy.margin)
    yield (
        "Scores run from 0 to 1, and higher means that more of the knowledge is shown. A score that could not be taken "
        "is missing with a reason, and is never counted as 0."
    )
    if result.verdict.unit is Unit.SUBJECT:
        yield "The unit is the subject: the facts of one subject are averaged first, and only subjects are counted."
    else:
        yield "The unit is the fact. That the facts of one subject fall independently is assumed, and not tested."
    if result.case.has_original:
        yield (
            f"Excess is (checkpoint − control) − {margin} of (original − control), in percentage points: above 0, more "
            f"than {margin} of what unlearning should have removed comes back."
        )
    else:
        yield f"There is no original: excess is checkpoint − control − {margin}, in percentage points, on hits alone."
    yield (
        f"Each bound is one-sided and holds with {confidence} confidence. It is Gaffke's bound for a bounded mean "
        f"(arXiv 1905.06208), by {policy.draws:,} draws with a fixed seed. It assumes neither normality nor any "
        "correlation inside a subject, and is exact where nothing at all comes back. That it always holds is a "
        "conjecture that no known case breaks; a proven variant is wider (arXiv 2106.03163)."
    )
    yield (
        "A pass takes the largest upper bound over all doses, ways of asking and controls, and every finding that "
        "decides must pass. Such a demand needs no correction for the number of findings."
    )
    yield (
        "A fail lets an adversary pick the worst cell, so that its p-value is multiplied by the number of cells that "
        "there were to pick from (or, where they are many, the cell is picked on one half of the subjects and tested "
        "on the other). Holm's correction keeps the chance of any wrong fail at "
        f"{percent(policy.alpha)} over all findings that decide."
    )
    yield from _stand_in_notes(result.verdict.control, policy)
    if result.case.plants is not None:
        yield (
            "Plants are models made from the original that hide what it knows in the way that an attack is meant to "
            "undo. An attack that does not bring its plant's knowledge back passes nothing; a leak that it finds is a "
            "leak all the same."
        )
    yield "Not showing a leak is never a pass: what is neither shown nor ruled out is inconclusive."
    yield from _determinism_notes(result)
    yield (
        "The verdict speaks of the attacks, doses and ways of asking in this report, for an adversary of this release "
        "tier. It does not rule out an attack that was not run."
    )


def _determinism_notes(result: Result) -> Iterable[str]:
    """What is the same when it is done again, and what need not be."""
    yield (
        "The verdict is a function of evidence, plan and policy: its random draws have a fixed seed, and the command "
        "gate makes it again from the evidence. This report is a function of result.json, byte for byte."
    )
    devices = sorted({clean(model.device, 20) for model in result.models if model.device}) or ["an unknown device"]
    yield (
        f"The evidence depends on seed {result.seed}, from which every random choice of an attack derives, and on "
        f"versions and hardware: it was made on {', '.join(devices)}. Another device or version may round differently "
        "and turn single answers; that is no part of the error bound."
    )
    seeds = sorted({job.seed for job in result.jobs})
    if len(seeds) > 1:
        yield f"Attacks that draw at random were run with {len(seeds)} seeds; a fact's score is the mean over them."


def _stand_in_notes(control: Control | None, policy: Policy) -> Iterable[str]:
    """What the controls can claim that each model brings itself, and what they cannot."""
    if control in (Control.TWINS, Control.PLACEBO, Control.TWINS_AND_PLACEBO):
        needed = [smallest_passing_subjects(policy.margin, policy.alpha, True, twins=twins) for twins in (True, False)]
        yield (
            "No retrained model was given, so that the checkpoint is held against what it says itself: of other "
            f"subjects' answers, of invented subjects. A clean sheet then needs {needed[0]} subjects to pass at this "
            f"margin ({needed[1]} against a retrained model)."
        )
    if control in (Control.TWINS, Control.TWINS_AND_PLACEBO):
        yield (
            "Twins are the answers of other subjects to the same relation, by their frequency: what the checkpoint "
            "says of a subject must fit that subject no better than another. They catch knowledge of who is who. They "
            "cannot tell knowledge from a guess that the name invites, which counts as a leak here."
        )
    if control in (Control.PLACEBO, Control.TWINS_AND_PLACEBO):
        yield (
            "Placebo facts ask after invented subjects in the same words. What the checkpoint says of them it cannot "
            "know. They cannot tell knowledge from a guess that the true name invites, and they show nothing of how a "
            "model that was never trained on the subjects would take to an attack that teaches: a retrained model does."
        )
