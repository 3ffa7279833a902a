"""A run writes and says no name, no question and no answer, not even where a plug-in fails over one."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.run.plain_sight import found_in, secrets_of
from tests.run.test_runner import Bare, Nothing
from unlearn_audit.api import Arm, Dose, FactSet, Needs
from unlearn_audit.api.plugins import WRITERS, names
from unlearn_audit.audit.hops import audit
from unlearn_audit.audit.prospects import Prospects
from unlearn_audit.audit.telling.progress import Both, Detailed, show_proofs
from unlearn_audit.audit.telling.streams import HarmlessConsole
from unlearn_audit.cli.commands.plan import show_forecasts
from unlearn_audit.cli.telling.event_log import event_log
from unlearn_audit.facts.privacy import MASK
from unlearn_audit.finished.redecide import material_of, redecide
from unlearn_audit.plan.layout import lay_out
from unlearn_audit.plan.make import make_plan
from unlearn_audit.report import writer_named
from unlearn_audit.report.formats.console import summary
from unlearn_audit.report.formats.json import load_result
from unlearn_audit.report.targets import deliver
from unlearn_audit.spec.spec import AuditSpec

NAMES = {
    FactSet.FORGET: ["Ysolde Quamber", "Bertrand Ofiluke", "Zoë O'Hallimor", "Ignaz Tschernow"],
    FactSet.RETAIN: ["Malvina Drossel", "Kasimir Eppendahl", "Fenja Wolkenstedt", "Odo Rasmuggen"],
    FactSet.HOLDOUT: ["Perpetua Lindqvast", "Hjalmar Oxenrode", "Suse Birkenhard", "Ture Malmquister"],
}


class Rogue(Bare):
    """Puts what it is given into all that it can write: a note, its proof, an exception."""

    name, seeded = "rogue", False

    def prepare(self, original, context):
        return {"told": [[fact.subject, fact.question, fact.answer] for fact in context.forget]}

    def arms(self, context):
        return tuple(Arm(name=name) for name in ("proof", "text", "repr", "cause"))

    def doses(self, model, arm, context):
        fact = context.forget[2]
        assert context.prepared["told"][2][0] == fact.subject  # it is read back
        if arm.name == "proof":
            yield Dose(label="rogue", value=0, model=model, proof={"text": f"said: {fact.answer}", "n": [fact.subject]})
            return
        try:
            raise KeyError(fact.question)
        except KeyError as error:
            told = {"text": f"no {fact.answer}\nfor {fact.subject.upper()}", "repr": repr(fact.question)}
            raise ValueError(told.get(arm.name, "it failed")) from error


def rows_of(name: FactSet) -> list[dict]:
    return [
        {
            "id": f"{name}-{number}",
            "subject": subject,
            "question": f"Where lives {subject}?",
            "answer": f"Quellhafen{number}{name}.",
            "paraphrases": [f"Say where {subject} lives."],
            "relation": "lives",
        }
        for number, subject in enumerate(NAMES[name])
    ]


FEW = {"probes": {"recall": {}, "multihop": {}}, "comparisons": {"distribution": {"samples": 1}}}


@pytest.fixture(scope="module", params=[FEW, pytest.param({}, marks=pytest.mark.slow)], ids=["few", "default"])
def told(tmp_path_factory, saved_model: Path, request) -> Path:
    """All that a plan, a run and the commands after it leave behind, and what they said."""
    where = tmp_path_factory.mktemp("private")
    sources = {name: where / f"{name}.jsonl" for name in FactSet}
    for name, path in sources.items():
        path.write_text("".join(json.dumps(row) + "\n" for row in rows_of(name)), encoding="utf-8")
    spec = AuditSpec(
        checkpoint=str(saved_model),
        original=str(saved_model),
        **{name.value: str(path) for name, path in sources.items()},
        profile="quick",
        attacks={"as-is": {}},
        **request.param,
    )
    draft = make_plan(spec)
    draft = replace(draft, attacks={**draft.attacks, "rogue": Rogue(Nothing())})
    live = replace(draft, plan=lay_out(draft))
    stream, out = io.StringIO(), where / "run"
    console = HarmlessConsole(file=stream, width=200)
    show_forecasts({"one": Prospects(live=live)}, console, as_json=False)
    show_forecasts({"one": Prospects(live=live)}, console, as_json=True)
    with event_log(where / "run.log") as log:
        result = audit(live, out, Both(Detailed(console), log))
        log.verdict(result)
    show_proofs(result.jobs, console)
    (where / "reports").mkdir()
    made = [name for name in names(WRITERS) if writer_named(name).needs is not Needs.PUBLISHED]
    deliver(material_of(out), [f"{name}={where / 'reports'}" for name in made])
    summary(redecide(out), console, out)
    (where / "console.txt").write_text(stream.getvalue(), encoding="utf-8")
    for path in sources.values():
        path.unlink()
    return where


def test_no_file_and_no_line_repeats_a_fact(told: Path):
    secrets = {text for name in FactSet for text in secrets_of(rows_of(name))}
    assert len(secrets) == 3 * 4 * 4
    assert found_in(told, secrets) == {}


def test_what_a_plug_in_failed_over_is_still_said(told: Path):
    result = load_result(told / "run" / "result.json")
    messages = {fault.arm: fault.message for fault in result.case.faults if fault.attack == "rogue"}
    assert messages["text"].startswith(f"ValueError: no {MASK}. for {MASK}; caused by KeyError: ")
    assert MASK in messages["text"].partition("KeyError")[2]
    log = (told / "run" / "errors.log").read_text()
    assert log.count("Traceback") >= 3
    assert f'KeyError: "{MASK}' in log
    proofs = [job.proof for job in result.jobs if job.attack == "rogue" and job.status == "done"]
    assert {"text": f"said: {MASK}.", "n": [MASK]} in [proof["rogue"] for proof in proofs]


def test_the_subjects_of_a_run_have_pseudonyms(told: Path):
    case = load_result(told / "run" / "result.json").case
    assert len(set(case.subjects.values())) == len(set(case.retain_subjects.values())) == 4
    for pseudonym in (*case.subjects.values(), *case.retain_subjects.values()):
        assert re.fullmatch(r"subject-[0-9a-f]{6}", pseudonym)


def test_the_search_finds_what_stands_there(told: Path):
    """The check itself can fail: in text, in a table and in arrays."""
    where = told / "found"
    where.mkdir()
    (where / "a.txt").write_text("of YSOLDE QUAMBER, then")
    pd.DataFrame({"a": ["Ysolde Quamber"] * 99}).to_parquet(where / "b.parquet", compression="zstd")
    letters = np.frombuffer(b"of Ysolde Quamber" * 99, dtype=np.uint8)
    np.savez_compressed(where / "c.npz", letters=letters)
    assert set(found_in(where, {"Ysolde Quamber"})) == {"a.txt", "b.parquet", "c.npz"}
    shutil.rmtree(where)
