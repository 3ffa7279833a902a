"""`junit.xml`: the rulings as test cases, for any viewer of test results.

Failed is a failure. Inconclusive and error are errors: a skipped test looks green, and an open question must
not. What does not count for the verdict is a passing case, in a separate suite whose output gives its status.
The document follows both Ant's and Jenkins's schema: what they do not share (properties of a case)
is given with the suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from junitparser import Attr, Error, Failure, JUnitXml, SystemErr, SystemOut, TestCase, TestSuite

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.formats.rulings import (
    COMPARISONS,
    FINDINGS,
    UTILITY,
    VERDICT,
    Ruling,
    label,
    rulings,
    started,
)
from unlearn_audit.report.page import subject_of
from unlearn_audit.verdict.result import Result

ADVISORY = "advisory"
_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'


class _Suite(TestSuite):  # type: ignore[misc]
    """With the extra attributes that Ant's schema requires."""

    id = Attr()
    package = Attr()


def render(result: Result) -> str:
    """The rulings as JUnit XML, in ASCII."""
    document = JUnitXml()
    found = rulings(result)
    for number, (name, members) in enumerate(_suites(found)):
        document.append(_suite(name, number, members, result))
    # By the standard library, whichever parser junitparser found: equal results are equal bytes.
    tree = ElementTree.fromstring(document.tostring())  # noqa: S314 - reads nothing but what it wrote
    ElementTree.indent(tree)
    body: bytes = ElementTree.tostring(tree, encoding="us-ascii", xml_declaration=False)
    return _HEAD + body.decode() + "\n"


def _suites(found: Sequence[Ruling]) -> Iterator[tuple[str, list[Ruling]]]:
    for kind in (VERDICT, FINDINGS, UTILITY, COMPARISONS):
        members = [each for each in found if each.kind == kind and each.gates]
        if members:
            yield kind, members
    advisory = [each for each in found if not each.gates]
    if advisory:
        yield ADVISORY, advisory


def _suite(name: str, number: int, members: Sequence[Ruling], result: Result) -> TestSuite:
    suite = _Suite(f"unlearn-audit {name}")
    suite.id, suite.package, suite.hostname = str(number), "unlearn-audit", "localhost"
    begun = started(result)
    if begun is not None:
        suite.timestamp = begun.strftime("%Y-%m-%dT%H:%M:%S")
    about = _of_audit(result) if name == VERDICT else _of_members(members)
    for key, value in about:
        suite.add_property(label(key), clean(value) if isinstance(value, str) else repr(value))
    suite.add_testcases([_case(each, advisory=name == ADVISORY) for each in members])
    suite.time = round(result.seconds, 3) if name == VERDICT else 0.0
    suite.append(SystemOut("\n".join(_line(each) for each in members)))
    suite.append(SystemErr(""))
    return suite


def _of_members(members: Sequence[Ruling]) -> Iterator[tuple[str, str | float | bool]]:
    for each in members:
        yield f"{each.id} status", each.status.value
        for name, value in each.numbers.items():
            yield f"{each.id} {name}", value


def _of_audit(result: Result) -> Iterator[tuple[str, str | float | bool]]:
    yield "outcome", result.outcome.value
    yield "exit_code", result.exit_code
    yield "checkpoint", subject_of(result)
    yield "release", result.case.release.value
    for model in result.models:
        yield f"model {model.role} {model.name}", model.digest
    for data in result.data:
        yield f"facts {data.set}", data.digest
    yield "policy_digest", result.policy_digest
    yield "spec_digest", result.spec_digest
    yield "evidence_digest", result.evidence_digest
    yield "margin", result.policy.margin
    yield "alpha", result.policy.alpha
    yield "tool_version", result.tool_version
    for number, one in enumerate(result.case.left_out, 1):
        yield f"left_out {number}", f"{one.what}: {one.why}"


def _case(ruling: Ruling, *, advisory: bool) -> TestCase:
    case = TestCase(label(ruling.id), label(f"advisory {ruling.rule}" if advisory else ruling.rule), 0.0)
    if advisory or ruling.status is Status.PASSED:
        return case
    kind = Failure if ruling.status is Status.FAILED else Error
    complaint = kind(ruling.reason, ruling.status.value)
    complaint.text = "\n".join((_line(ruling), *ruling.details))
    case.result = [complaint]
    return case


def _line(ruling: Ruling) -> str:
    numbers = ", ".join(f"{name} {value}" for name, value in ruling.numbers.items())
    return f"{label(ruling.id)}: {ruling.status.value}: {ruling.reason}" + (f" ({numbers})" if numbers else "")
