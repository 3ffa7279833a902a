"""The section on pre-registration: the plan that was sealed before the run, and whether the run kept to it."""

from __future__ import annotations

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.parts.view import Block, Code, Limits, Listing, Section, paragraph
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.verdict.policy.sealed import departures
from unlearn_audit.verdict.result import Result

_TITLE = "Pre-registration"


def section(result: Result, limits: Limits) -> Section:
    """Empty where no plan was sealed: the banner says that."""
    seal = result.case.seal
    if seal is None:
        nothing = paragraph("The plan was not sealed before the run.")
        return Section(id="sealed", title=_TITLE, blocks=(nothing,), empty=True)
    found = departures(result.case, result.policy)
    signed = f"It names {len(seal.keys)} signing key(s): " if seal.keys else "It is not signed"
    keys = tuple(part for key in seal.keys for part in (Code(clean(key, 80)[:16]), " "))
    shown = found[: limits.entries]
    blocks: tuple[Block, ...] = (
        paragraph(
            "Facts, models, attacks with their arms, probes, policy and code were written down, each by its digest, "
            f"at {clean(seal.made, 40)} by the clock of the machine that did it: file ",
            Code(f"sha256:{clean(seal.digest, 80)[:16]}"),
            f". {signed}",
            *keys,
            ". That it was there before any result is vouched for by whoever kept it, not by this report.",
        ),
        paragraph("The run kept to it." if not found else "The run did NOT keep to it:"),
        *((Listing(items=tuple((clean(line, 2 * limits.text),) for line in shown)),) if found else ()),
        *left_over(len(found) - len(shown), "deviation"),
    )
    return Section(id="sealed", title=_TITLE, blocks=blocks)


def standing(result: Result) -> str:
    """Whether the plan was sealed and kept, in a few words."""
    seal = result.case.seal
    if seal is None:
        return "not sealed before"
    day = clean(seal.made, 40)[:10]
    return f"sealed {day}, NOT KEPT" if departures(result.case, result.policy) else f"sealed {day}, kept"


def signed(result: Result) -> str:
    """Whether an attestation is known to this report, in a few words."""
    signature = result.appendix.signature if result.appendix is not None else None
    if signature is None:
        return "no"
    if not signature.fits:
        return "for another result"
    return f"by key {clean(signature.keys[0], 80)[:8]}, unchecked" if signature.keys else "unchecked"
