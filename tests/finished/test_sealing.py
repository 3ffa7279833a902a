"""A plan that is sealed before its run: kept, or not, in every part; and nothing about it can be changed afterwards."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.test_gate import invoke as invoke  # the fixture
from tests.finished.test_attestation import keys
from tests.run.test_runner import planned
from unlearn_audit.audit.hops import audit
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.errors import IntegrityError, SpecError
from unlearn_audit.evidence.files import write_json
from unlearn_audit.evidence.manifest import write_manifest
from unlearn_audit.evidence.seal import deviations, parts_of, read_seal
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.finished.appendix import appended
from unlearn_audit.finished.attest import attest
from unlearn_audit.finished.redecide import material_of, redecide
from unlearn_audit.finished.sealing import check_seal, seal_lines, write_seal
from unlearn_audit.finished.verify import Request, verify
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.run.claim import sealed
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.verdict.policy.sealed import about_seal, departures

QUIET = Quiet(Console(stderr=True))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sealing")


@pytest.fixture(scope="module")
def live(home: Path, saved_model: Path) -> LivePlan:
    """A small plan, made once."""
    people = ("Ada Mann", "Bo Lind", "Cy Berg", "Di Falk")
    rows = [
        {"id": f"f{n}", "subject": who, "question": f"Who is {who}?", "answer": f"N{n}"} for n, who in enumerate(people)
    ]
    (home / "forget.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = AuditSpec(checkpoint=str(saved_model), forget=str(home / "forget.jsonl"), attacks={"as-is": {}})
    return planned(spec)


@pytest.fixture(scope="module")
def signer(home: Path) -> tuple[Path, Path]:
    return keys(home, name="signer")


@pytest.fixture(scope="module")
def seal(home: Path, live: LivePlan) -> Path:
    """The plan, sealed without a signature."""
    write_seal(live.plan, home / "seal.json", None)
    return home / "seal.json"


@pytest.fixture(scope="module")
def made(home: Path, live: LivePlan, signer: tuple[Path, Path]) -> Path:
    """A run that kept to its seal, which is signed. Nobody changes it."""
    write_seal(live.plan, home / "signed.json", signer[0])
    audit(live, home / "kept", QUIET, formats=("json", "md"), seal=home / "signed.json")
    return home / "kept"


@pytest.fixture
def kept(tmp_path: Path, made: Path) -> Path:
    shutil.copytree(made, tmp_path / "kept")
    return tmp_path / "kept"


def mutated(seal: Path, path: Path, **changes: str | None) -> Path:
    content = json.loads(seal.read_text())
    told = {**content["predicate"]["parts"], **changes}
    content["predicate"]["parts"] = {name: value for name, value in told.items() if value is not None}
    path.write_text(json.dumps(content))
    return path


def held_to(plan, seal: Path | None, out: Path, **how) -> tuple[str, ...]:
    """What a run of the plan there would do otherwise than the seal says; nothing runs."""
    out.mkdir(exist_ok=True)
    found = sealed(plan, out, seal, EvidenceStore(out), **how)
    write_json(out / "plan.json", found.as_json())  # as a run does next
    return departures(found.case, found.spec.policy)


def lines_of(run: Path, **how) -> dict[str, bool | None]:
    return {check.line: check.holds for check in verify(Request(run=run, with_models=False, **how))}


def test_a_run_that_keeps_to_its_plan_says_so_and_is_held_to_it_when_it_goes_on(home, live, kept) -> None:
    result = redecide(kept)
    assert result.case.seal is not None and departures(result.case, result.policy) == ()
    assert result.verdict.sentence.endswith(f" The plan was sealed on {result.case.seal.made[:10]}, and kept.")
    assert (kept / "seal.json").read_bytes() == (home / "signed.json").read_bytes()
    (line,) = (line for line in lines_of(kept) if line.startswith("plan: sealed"))
    assert line.endswith("and kept") and lines_of(kept)[line] is True
    assert audit(live, kept, QUIET, formats=("json",)).case == result.case  # without the flag: the seal lies there
    assert held_to(live.plan, home / "signed.json", kept) == ()


def test_another_seal_needs_overwrite_and_goes_with_it(tmp_path, live, seal, kept) -> None:
    with pytest.raises(SpecError, match="holds a run under another seal"):
        held_to(live.plan, seal, kept)
    (before,) = held_to(live.plan, seal, kept, overwrite=True)
    assert before.startswith("results: 1 of 1 jobs")
    assert held_to(live.plan, None, kept, overwrite=True) == () and not (kept / "seal.json").exists()


def test_every_part_that_differs_is_named_and_nothing_else(tmp_path, live, seal) -> None:
    named = json.loads(seal.read_text())["predicate"]["parts"]
    assert {"policy", "facts forget", "model unlearned", "attack as-is", "probe recall", "findings", "code"} <= set(
        named
    )
    for number, name in enumerate(named):
        other = mutated(seal, tmp_path / f"{number}.json", **{name: "0" * 64})
        found = held_to(live.plan, other, tmp_path / f"run-{number}")
        assert [line.partition(":")[0] for line in found] == [name]
    assert held_to(live.plan, seal, tmp_path / "same") == ()
    more = mutated(seal, tmp_path / "more.json", **{"attack noise": "1" * 64})
    assert held_to(live.plan, more, tmp_path / "more") == ("attack noise: was sealed, and is not in this run",)
    fewer = mutated(seal, tmp_path / "fewer.json", **{"probe recall": None})
    assert held_to(live.plan, fewer, tmp_path / "fewer") == ("probe recall: is in this run, and was not sealed",)


def test_what_a_request_changes_is_seen_as_what_it_changes(tmp_path, live, seal) -> None:
    spec, plan = live.plan.spec, live.plan
    policy = spec.policy.model_copy(update={"margin": 0.3})
    facts = tuple(one.model_copy(update={"digest": "0" * 64}) for one in plan.facts)
    job = plan.jobs[0].model_copy(update={"seed": plan.jobs[0].seed + 1})
    for number, (other, name) in enumerate(
        (
            ({"spec": spec.model_copy(update={"policy": policy})}, "policy"),
            ({"spec": spec.model_copy(update={"seed": 1})}, "seed"),
            ({"facts": facts}, "facts forget"),
            ({"base": plan.models[0].checkpoint}, "base"),
            ({"jobs": (job, *plan.jobs[1:])}, "attack as-is"),
            ({"engine": "another"}, "code"),
        )
    ):
        found = held_to(plan.model_copy(update=other), seal, tmp_path / str(number))
        assert [line.partition(":")[0] for line in found] == [name]


def test_a_run_that_did_not_keep_to_it_says_so_loudly(tmp_path, live, seal, invoke) -> None:
    other = mutated(seal, tmp_path / "other.json", **{"attack as-is": "0" * 64})
    run = tmp_path / "run"
    result = audit(live, run, QUIET, formats=("json", "md"), seal=other)
    assert "NOT KEPT: attack as-is." in result.verdict.sentence
    assert "NOT KEPT" in (run / "report.md").read_text()
    assert [holds for line, holds in lines_of(run).items() if "NOT KEPT: attack as-is: sealed as" in line] == [False]
    assert any("seal: is not signed. Anyone could have written it" in line for line in lines_of(run))
    assert invoke("verify", run, "--no-checkpoint")[0] == 5
    with pytest.raises(IntegrityError, match="not signed: plan: sealed"):
        attest(run, keys(tmp_path)[0])


def test_another_policy_is_no_longer_the_sealed_one(made) -> None:
    policy = redecide(made).policy.model_copy(update={"margin": 0.4})
    assert "NOT KEPT: policy." in redecide(made, policy).verdict.sentence


def test_results_from_before_the_seal_are_told_of_and_stay_told_of(live, seal, kept) -> None:
    (kept / "seal.json").unlink()
    said = "results: 1 of 1 jobs on the checkpoint were done before this seal came"
    for given in (seal, None, seal):
        assert held_to(live.plan, given, kept) == (said,)


def test_what_is_changed_afterwards_is_seen_even_under_a_new_manifest(tmp_path, made, seal) -> None:
    def bad(name: str, change: Callable[[Path], object]) -> list[str]:
        run = tmp_path / name
        shutil.copytree(made, run)
        change(run)
        write_manifest(run)
        return [line for line, holds in lines_of(run).items() if holds is False]

    def edited(name: str, edit: Callable[[dict], object]) -> Callable[[Path], object]:
        def change(run: Path) -> None:
            content = json.loads((run / name).read_text())
            edit(content)
            (run / name).write_text(json.dumps(content))

        return change

    assert "is missing, and the result names it" in bad("gone", lambda run: (run / "seal.json").unlink())[0]
    assert "is not the seal that the result names" in bad("other", lambda run: shutil.copy(seal, run / "seal.json"))[0]
    later = edited("plan.json", lambda plan: plan["spec"].update(seed=99))
    assert "deviates from its seal in other ways" in bad("plan", later)[0]
    forgotten = edited("result.json", lambda result: result["case"].update(seal=None))
    assert any("the result knows of no sealed plan" in line for line in bad("forgotten", forgotten))
    forgiven = edited("result.json", lambda result: result["case"]["seal"].update(deviations=["seed: another"]))
    assert any("deviates from its seal in other ways" in line for line in bad("invented", forgiven))


def test_a_signature_of_the_seal_is_checked(tmp_path, home, kept, signer) -> None:
    _, other = keys(tmp_path, name="other")
    assert lines_of(kept, seal_key=signer[1])[f"seal: seal.json is signed by {signer[1]}"] is True
    assert [
        line for line, holds in lines_of(kept, seal_key=other).items() if holds is False and "is not signed by" in line
    ]
    assert any("not checked; give --seal-key" in line for line in lines_of(kept))
    envelope = json.loads((kept / "seal.json").read_text())
    content = json.loads(base64.b64decode(envelope["payload"]))
    content["predicate"]["made"] = "2020-01-01T00:00:00+00:00"
    envelope["payload"] = base64.b64encode(json.dumps(content).encode()).decode()
    (kept / "seal.json").write_text(json.dumps(envelope))
    result = redecide(kept, sealed=False)
    forged = read_seal(kept / "seal.json")[0]
    result = result.model_copy(update={"case": result.case.model_copy(update={"seal": forged})})
    assert [holds for holds, _ in seal_lines(kept, result, None)] == [True, None]
    with pytest.raises(IntegrityError, match="is not signed by"):
        list(seal_lines(kept, result, signer[1]))


def test_an_attestation_names_the_plan_and_the_report_names_the_attestation(kept, tmp_path, invoke) -> None:
    secret, public = keys(tmp_path)
    unsigned = material_of(kept)
    assert appended(unsigned, kept, []) is unsigned
    envelope = json.loads(attest(kept, secret).read_text())
    said = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["plan"]
    assert said["kept"] is True and said["sha256"] == redecide(kept).case.seal.digest
    assert invoke("verify", kept, "--key", public, "--no-checkpoint")[0] == 0
    signature = appended(material_of(kept), kept, []).result.appendix.signature
    assert (signature.keys, signature.fits) == ((envelope["signatures"][0]["keyid"],), True)
    code, out, _ = invoke("report", kept, "-f", "md", "--annex", "gdpr", "--annex", "nist")
    assert code == 0 and "Signed: by key" in out
    assert out.index("## Annex: GDPR") < out.index("## Annex: NIST AI RMF")
    assert invoke("report", kept, "-f", "md", "--annex", "gdpx")[0] == 2
    (kept / "attestation.json").write_text('{"payload": "e30=", "signatures": []}')
    assert appended(material_of(kept), kept, []).result.appendix.signature.fits is False


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"payload": 1}', '{"payload": "e30=", "signatures": []}', "null"])
def test_what_is_no_seal_is_refused(tmp_path, text) -> None:
    path = tmp_path / "seal.json"
    path.write_text(text)
    with pytest.raises(SpecError, match="expected the seal of a plan"):
        read_seal(path)


def test_what_cannot_be_sealed_is_refused_before_anything_is_planned(tmp_path, live) -> None:
    spec, there = live.plan.spec, tmp_path / "there.json"
    there.write_text("{}")
    for path, key, asked, why in (
        (there, None, spec, "a plan is sealed once"),
        (tmp_path / "no" / "seal.json", None, spec, "is not a directory"),
        (None, there, spec, "signs a seal, and none was asked for"),
        (tmp_path / "seal.json", None, spec.model_copy(update={"budget": "1h"}), "a budget is measured"),
    ):
        with pytest.raises(SpecError, match=why):
            check_seal(path, key, asked)
    check_seal(tmp_path / "seal.json", None, spec)


def test_attacks_that_were_sealed_and_never_ran_are_told_of(made) -> None:
    result = redecide(made)
    case = result.case.model_copy(update={"not_run": ("noise",)})
    assert departures(case, result.policy) == ("attack noise: was sealed, and did not run",)
    assert about_seal(case, result.policy).endswith("was NOT KEPT: attack noise.")
    many = case.model_copy(update={"not_run": tuple("abcde")})
    assert about_seal(many, result.policy).endswith("was NOT KEPT: attack a, attack b, attack c and 2 more.")


def test_a_plan_elsewhere_has_the_same_parts(live) -> None:
    document = json.loads(json.dumps(live.plan.as_json()))
    for job in document["jobs"]:
        job["key"] = "another"
    assert deviations(parts_of(live.plan.as_json(), "p"), parts_of(document, "p")) == ()
