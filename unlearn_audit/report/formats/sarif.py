"""`report.sarif`: every ruling that did not pass, in SARIF 2.1.0 (OASIS, errata 01), for code scanning.

Failed and error have level `error`, inconclusive `warning`, and what does not count for the verdict `note`. What
passed is not an alert: it is listed as a rule, and the verdict with its exit code in the invocation. Every alert has a
place, or GitHub rejects the file: the line of `result.json` that says the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.formats.json import canonical
from unlearn_audit.report.formats.json import render as result_json
from unlearn_audit.report.formats.rulings import (
    COMPARISONS,
    FINDINGS,
    UTILITY,
    VERDICT,
    WAIVERS,
    Ruling,
    label,
    rulings,
    started,
)
from unlearn_audit.report.page import subject_of
from unlearn_audit.verdict.findings.causes import causes_of
from unlearn_audit.verdict.result import Outcome, Result

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "unlearnAuditRuling/v1"
_FILE = "result.json"
_LEVELS = {Status.FAILED: "error", Status.ERROR: "error", Status.INCONCLUSIVE: "warning"}
_HEADS = {
    VERDICT: '  "verdict": {',
    FINDINGS: '    "findings": [',
    UTILITY: '    "utility": {',
    COMPARISONS: '    "comparisons": [',
    WAIVERS: '    "waivers": [',
}
_ITEM, _END = "      {", "    ]"
_WHAT = {
    VERDICT: "The verdict of the audit as a whole.",
    UTILITY: "The checkpoint still answers what it should answer.",
}
_OF_KIND = {
    FINDINGS: "Attack {attack} must not recover knowledge that probe {probe} can detect.",
    COMPARISONS: "Comparison {probe} of whole models.",
    WAIVERS: "A waiver must apply to something, and must not have expired.",
}
# SARIF reads links from [] and places of arguments from {} in a message; a look-alike is right everywhere.
_PLAIN = str.maketrans("[]{}", "()()")


def render(result: Result) -> str:
    """What did not pass, as SARIF, in ASCII."""
    found = rulings(result)
    rules = {label(each.rule): each for each in reversed(found)}
    order = list(dict.fromkeys(label(each.rule) for each in found))
    whole = result_json(result)
    lines = whole.splitlines()
    alerts = [each for each in found if each.status is not Status.PASSED]
    run = {
        "tool": {
            "driver": {
                "name": "unlearn-audit",
                "version": label(result.tool_version),
                "rules": [_rule(name, rules[name]) for name in order],
            }
        },
        "automationDetails": {"id": f"unlearn-audit/{subject_of(result)}/"},
        "invocations": [_invocation(result)],
        "artifacts": [
            {
                "location": {"uri": _FILE},
                "mimeType": "application/json",
                "hashes": {"sha-256": hashlib.sha256(whole.encode()).hexdigest()},
            }
        ],
        "results": [_alert(each, order.index(label(each.rule)), lines) for each in alerts],
        "columnKind": "unicodeCodePoints",
        "properties": _properties(result),
    }
    return canonical({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def line_of(lines: Sequence[str], kind: str, place: int) -> int:
    """The line of `result.json`, from 1, on which something of the verdict begins.

    The file has one form, in which a line's indent says its depth: no text inside it can look like such a line.
    """
    head = lines.index(_HEADS[kind])
    if kind in (VERDICT, UTILITY):
        return head + 1
    end = lines.index(next(line for line in lines[head:] if line.startswith(_END)), head)
    return [number for number in range(head, end) if lines[number] == _ITEM][place] + 1


def _alert(ruling: Ruling, index: int, lines: Sequence[str]) -> dict[str, object]:
    return {
        "ruleId": label(ruling.rule),
        "ruleIndex": index,
        "level": _LEVELS[ruling.status] if ruling.gates else "note",
        "kind": "fail",
        "message": {"text": _message(". ".join((_sentence(ruling), *ruling.details)))},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _FILE, "index": 0},
                    "region": {"startLine": line_of(lines, ruling.kind, ruling.place)},
                },
                "logicalLocations": [{"fullyQualifiedName": label(ruling.id)}],
            }
        ],
        # The same leak in the next checkpoint is the same alert, so it includes neither model nor number.
        "partialFingerprints": {FINGERPRINT: hashlib.sha256(ruling.id.encode("utf-8", "replace")).hexdigest()},
        "properties": {"status": ruling.status.value, "gates": ruling.gates, **ruling.numbers},
    }


def _rule(name: str, example: Ruling) -> dict[str, object]:
    attack, _, probe = name.partition("/")
    what = _WHAT.get(name) or _OF_KIND[example.kind].format(attack=attack, probe=probe)
    return {
        "id": name,
        "shortDescription": {"text": _message(what)},
        "fullDescription": {"text": _message(what)},
        "help": {
            "text": "Read the audit's report; `unlearn-audit list attacks` and `list probes` describe each of them."
        },
        "defaultConfiguration": {"level": "error" if example.gates else "note"},
        "properties": {"tags": ["unlearning", "security", "privacy"]},
    }


def _invocation(result: Result) -> dict[str, object]:
    case = result.case
    told = [("error", cause.line) for cause in causes_of(case.model_faults)]
    told += [("note", f"Skipped: {one.what}: {one.why}") for one in case.left_out]
    begun = started(result)
    return {
        "executionSuccessful": result.outcome is not Outcome.ERROR,
        "exitCode": result.exit_code,
        "exitCodeDescription": result.outcome.value,
        **({"startTimeUtc": begun.strftime("%Y-%m-%dT%H:%M:%SZ")} if begun else {}),
        "commandLine": clean(result.command),
        "toolExecutionNotifications": [
            {"level": level, "message": {"text": _message(clean(text))}} for level, text in told
        ],
    }


def _properties(result: Result) -> dict[str, object]:
    return {
        "outcome": result.outcome.value,
        "release": result.case.release.value,
        "policyDigest": label(result.policy_digest),
        "specDigest": label(result.spec_digest),
        "evidenceDigest": label(result.evidence_digest),
        "models": [
            {"role": label(each.role), "name": label(each.name), "digest": label(each.digest)} for each in result.models
        ],
        "margin": result.policy.margin,
        "alpha": result.policy.alpha,
    }


def _sentence(ruling: Ruling) -> str:
    return f"{label(ruling.id)}: {ruling.status.value}: {ruling.reason}".removesuffix(".")


def _message(text: str) -> str:
    return text.translate(_PLAIN)
