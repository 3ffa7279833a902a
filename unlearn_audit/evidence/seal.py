"""Pre-registration: what an audit will do, written down before there is any result, and whether a run kept to it.

A seal is an in-toto statement about the checkpoint. It holds the plan in parts (each fact set, model, attack with its
arms, probe, the policy, ...), each by a digest, so that a run that does something else is told by name. Signed, it
lies in a DSSE envelope (`finished.attestation`). It says when it was made by the clock of the machine that made it:
only a third party that keeps it, or its digest, can vouch for the time.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from unlearn_audit.api.user_files import parse_json
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.evidence.digests import sha256_file, sha256_json
from unlearn_audit.evidence.files import read_json
from unlearn_audit.evidence.records import Record

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:unlearn-audit:plan:1"
POLICY = "policy"
"""The part of a seal that a finished run can still be held against: `gate` may decide by another."""

BEFORE = "results"
"""What a deviation begins with where there were results before the seal."""

_SHOWN = 12


class Seal(Record):
    """The seal of a plan as a run found it.

    Attributes:
        digest: SHA-256 of the file; `made` when it says that it was made.
        keys: ids of the keys that signed it, as it says itself: `verify` checks them.
        policy: digest of the policy that it names.
        deviations: what the run did otherwise, a line each; the policy apart, which is looked at where one decides.
    """

    digest: str
    made: str
    keys: tuple[str, ...] = ()
    policy: str
    deviations: tuple[str, ...] = Field(())


def parts_of(plan: Mapping[str, Any], policy: str) -> dict[str, str]:
    """What a plan fixes, in parts: name -> digest, or the value itself where it is short.

    Args:
        plan: as `plan.json` holds it.
        policy: the policy's digest.
    """
    spec, jobs = plan["spec"], [_about(job) for job in plan["jobs"]]
    models = {f"model {one['name']}": one["checkpoint"]["digest"] for one in (*plan["models"], *plan["served"])}
    attacks = {
        f"attack {name}": sha256_json([settings, [job for job in jobs if job["attack"] == name]])
        for name, settings in plan["attacks"].items()
    }
    return {
        POLICY: policy,
        **{f"facts {one['name']}": one["digest"] for one in plan["facts"]},
        **models,
        **attacks,
        **{f"probe {name}": sha256_json(settings) for name, settings in plan["probes"].items()},
        **{f"comparison {name}": sha256_json(settings) for name, settings in plan["comparisons"].items()},
        "findings": sha256_json(plan["case"]["planned"]),
        "judge": sha256_json([plan["judge"]["kind"], plan["judge"]["twins"], _digest_of(plan["judge"]["checkpoint"])]),
        "generator": _digest_of(plan["generator"]),
        "base": _digest_of(plan["base"]),
        "chat template": str(plan["template"] or "the models' own"),
        "release": str(spec["release"]),
        "seed": str(spec["seed"]),
        "code": sha256_json([plan["engine"], plan["plugins"]]),
    }


def statement(
    plan: Mapping[str, Any], policy: Mapping[str, Any], *, digest: str, made: str, tool: str
) -> dict[str, Any]:
    """The seal of a plan, not yet signed.

    Args:
        plan: as `plan.json` holds it.
        policy: all of it, for those who read the seal.
        digest: the policy's.
        made: the time, ISO 8601.
        tool: version of this tool.
    """
    (audited,) = (one for one in plan["models"] if one["role"] == "unlearned")
    arms: dict[str, list[str]] = {name: [] for name in plan["attacks"]}
    for job in plan["jobs"]:
        if job["arm"]["name"] not in arms[job["attack"]]:
            arms[job["attack"]].append(job["arm"]["name"])
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": audited["name"], "digest": {"sha256": audited["checkpoint"]["digest"]}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "made": made,
            "parts": parts_of(plan, digest),
            "arms": arms,
            "policy": dict(policy),
            "tool": {"name": "unlearn-audit", "version": tool},
        },
    }


def read_seal(path: Path) -> tuple[Seal, dict[str, str]]:
    """A seal, without deviations, and its parts. Whether its signature holds is not looked at.

    Raises:
        SpecError: there is no seal of this tool in the file.
    """
    try:
        content, keys = opened(path)
        kinds = content["_type"], content["predicateType"]
        told = content["predicate"]
        parts = {str(name): str(value) for name, value in dict(told["parts"]).items()}
        seal = Seal(digest=sha256_file(path), made=str(told["made"]), keys=keys, policy=parts[POLICY])
    except AuditError as error:
        raise SpecError(f"{path}: expected the seal of a plan ({error})") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpecError(f"{path}: expected the seal of a plan; `unlearn-audit plan --seal FILE` makes one") from error
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise SpecError(f"{path}: expected the seal of a plan, got another statement ({kinds[1]!r})")
    return seal, parts


def deviations(sealed: Mapping[str, str], ran: Mapping[str, str]) -> tuple[str, ...]:
    """What a run did otherwise than its seal says, a line each; the policy apart."""
    lines = []
    for name in dict.fromkeys((*sealed, *ran)):
        then, now = sealed.get(name), ran.get(name)
        if name == POLICY or then == now:
            continue
        if now is None:
            lines.append(f"{name}: was sealed, and is not in this run")
        elif then is None:
            lines.append(f"{name}: is in this run, and was not sealed")
        else:
            lines.append(f"{name}: sealed as {then[:_SHOWN]}, ran as {now[:_SHOWN]}")
    return tuple(lines)


def opened(path: Path) -> tuple[Any, tuple[str, ...]]:
    """The statement in a file, and the ids of the keys of the envelope around it; none where there is no envelope.

    Whether a signature holds is not looked at.

    Raises:
        AuditError: it cannot be read, or is torn.
    """
    try:
        content = read_json(path)
        if not isinstance(content, dict) or "payload" not in content:
            return content, ()
        keys = tuple(str(one["keyid"]) for one in content["signatures"])
        return parse_json(base64.b64decode(content["payload"], validate=True).decode(), str(path)), keys
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise AuditError(f"{path}: expected a signed statement ({error})") from error


def _about(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job without what follows from the rest of the plan (its key), and without where its models lie."""
    plant = job["plant"]
    return {
        **{name: job[name] for name in ("attack", "arm", "seed", "probes", "sham", "own_probe")},
        "model": job["model"]["name"],
        "plant": plant
        and {"name": plant["name"], "kind": plant["kind"], "attack": plant["attack"], "arm": plant["arm"]},
    }


def _digest_of(checkpoint: Mapping[str, Any] | None) -> str:
    return "none" if checkpoint is None else str(checkpoint["digest"])
