"""`watch`: what a run directory tells of a run that goes on, has ended or was killed; nothing in it is touched."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.test_gate import invoke as invoke  # the fixture
from tests.finished.finished_run import checkpoint, finished_run, small
from tests.verdict.test_verdict import LEAK, PLANNED, POLICY
from unlearn_audit.api import Arm, Role
from unlearn_audit.audit.telling.board import board
from unlearn_audit.audit.telling.found_so_far import Leading
from unlearn_audit.audit.telling.progress import Live
from unlearn_audit.audit.telling.scene import About, Scene, State
from unlearn_audit.cli.telling.board_page import page
from unlearn_audit.cli.telling.event_log import journal
from unlearn_audit.cli.telling.watching import Watched
from unlearn_audit.evidence.directory import LOCK, is_at_work, run_directory
from unlearn_audit.evidence.files import EVENTS, write_json
from unlearn_audit.evidence.manifest import PLAN, manifest_problems
from unlearn_audit.models.modules.tally import Tokens
from unlearn_audit.models.references import resolve
from unlearn_audit.plan.case import Case
from unlearn_audit.plan.plan import Job, Plan, PlannedModel
from unlearn_audit.run.progress import Work
from unlearn_audit.spec.policy import Release
from unlearn_audit.spec.spec import AuditSpec

HOSTILE = "<script>alert(1)</script>\x1b[31m|[red]"
LEADING = Leading(finding="as-is/recall.hit", dose="plain", shown=0.9, controls=0.1, lower=0.7, upper=0.85, subjects=60)


def plan_of(folder: Path, name: str = "npo") -> Plan:
    """A plan of two attacks on a checkpoint and one control."""
    found = resolve(str(checkpoint(folder / "model")))
    models = tuple(
        PlannedModel(role=role, name=role.value, checkpoint=found) for role in (Role.RETRAINED, Role.UNLEARNED)
    )
    jobs = tuple(
        Job(key=f"{attack}-{model.name}", attack=attack, arm=Arm(name=arm), model=model, seed=0, probes=("recall",))
        for model in models
        for attack, arm in (("as-is", "plain"), ("quantization", "nf4"))
    )
    return Plan(
        spec=AuditSpec(checkpoint=f"models/{name}", forget="forget.jsonl", policy=POLICY),
        models=models,
        facts=(),
        attacks={"as-is": {}, "quantization": {}},
        probes={"recall": {}},
        case=Case(release=Release.OPEN_WEIGHTS, subjects={}, has_original=False, planned=PLANNED),
        jobs=jobs,
    )


def begun(run: Path, name: str = "npo") -> Plan:
    """A run directory with a plan."""
    run.mkdir(parents=True, exist_ok=True)
    plan = plan_of(run.parent, name)
    write_json(run / PLAN, plan.as_json())
    return plan


def half_way(run: Path, plan: Plan) -> None:
    """What a run tells until its third job is at work."""
    with journal(run) as log:
        tell(log, plan)


def tell(progress, plan: Plan) -> None:
    first, second, third, _ = plan.jobs
    progress.begin(plan.jobs, [])
    progress.loading(plan.models[0])
    for job, score in ((first, 0.1), (third, 0.9)):
        progress.started(job)
        progress.probing(job, "plain", "recall")
        progress.probed(job, "plain", "recall", {"recall.hit": score})
        progress.finished(job, 1.0, None)
    progress.leading(LEADING)
    progress.started(second)
    progress.finished(second, 1.0, "no memory")
    progress.started(plan.jobs[3])


def drawn(scene: Scene, width: int = 80, height: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(board(scene, width, height))
    return console.file.getvalue()  # type: ignore[attr-defined]


def held_by(run: Path, pid: int, host: str = "") -> None:
    (run / LOCK).write_text(json.dumps({"pid": pid, "host": host or socket.gethostname(), "started": "2026-01-01"}))


def test_a_running_audit_is_shown_and_its_directory_left_alone(tmp_path, invoke):
    run = tmp_path / "run"
    with run_directory(run):
        plan = begun(run)
        half_way(run, plan)
        assert is_at_work(run) is True
        before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
        code, out, _ = invoke("watch", run, "--once", "--html", tmp_path / "w.html")
        assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert code == 3
    text = " ".join(out.split())
    assert "npo running" in text and "3 of 4 jobs, 1 faulted" in text
    assert "as-is 2/2 90% (10%) !" in text and "quantization 1/2 ..." in text
    assert "Most so far: as-is/recall.hit at plain: 90% (controls 10%); +70 to +85 points beyond" in text
    assert "error: quantization (nf4) on retrained: no memory" in text
    shown = (tmp_path / "w.html").read_text()
    assert 'http-equiv="refresh"' in shown and "90% (10%) !" in shown and "no memory" in shown


def test_what_the_run_shows_itself_is_what_is_watched(tmp_path):
    plan = begun(tmp_path / "run")
    live = Live(Console(file=io.StringIO(), width=80, force_terminal=True), About.of(plan, plan.case))
    tell(live, plan)
    half_way(tmp_path / "run", plan)
    held_by(tmp_path / "run", 1, host="another")
    watched = Watched(tmp_path / "run").look()
    assert watched.state is State.UNKNOWN
    watched.state = live.scene.state
    untimed = [re.sub(r"\d+:\d\d(:\d\d)?( elapsed)?", "", drawn(scene)) for scene in (live.scene, watched)]
    assert untimed[0] == untimed[1]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("height", [16, 24, 50])
def test_the_board_fits_where_it_is_shown(tmp_path, width, height):
    plan = plan_of(tmp_path)
    many = [
        job.model_copy(update={"key": f"{job.key}-{n}", "attack": f"attack-{n}"})
        for job in plan.jobs
        for n in range(30)
    ]
    scene = Scene(About.of(plan, plan.case))
    scene.begin(many, [])
    for job in many[:20]:
        scene.started(job)
        scene.probed(job, "plain", "recall", {"recall.hit": 0.5})
    lines = drawn(scene, width, height).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= max(height, 20)
    assert ("more attacks" in drawn(scene, width, height)) is (height < 50)


def test_half_written_and_damaged_files_are_read_as_far_as_they_are_whole(tmp_path):
    run = tmp_path / "run"
    plan = begun(run)
    half_way(run, plan)
    whole = (run / EVENTS).read_bytes()
    (run / EVENTS).write_bytes(whole[:-40])
    held_by(run, os.getpid())
    watched = Watched(run)
    assert [job.title for job, _ in watched.look().running.values()] == []
    (run / EVENTS).write_bytes(whole + b'{"event": 3}\n[]\nnot json\n{"event": "done", "time": "x"}\n')
    assert watched.look().faults == 1
    (run / "jobs" / plan.jobs[3].key).mkdir(parents=True)
    (run / "jobs" / plan.jobs[3].key / "job.json").write_text('{"means": {"nf4": {"recall')
    assert plan.jobs[3].key not in watched.look().done
    (run / "jobs" / plan.jobs[3].key / "job.json").write_text('{"means": {"nf4": {"recall.hit": 0.25}}}')
    scene = watched.look()
    assert scene.place("quantization", "recall.hit").shown == 0.25
    (run / PLAN).write_text("{")
    assert len(watched.look().jobs) == 4  # what was known stays


def test_a_run_without_events_is_shown_by_its_evidence(tmp_path):
    run = tmp_path / "run"
    plan = begun(run)
    for job, score in zip(plan.jobs, (0.1, 0.2, 0.8, 0.9), strict=True):
        write = run / "jobs" / job.key
        write.mkdir(parents=True)
        write_json(write / "job.json", {"means": {"plain": {"recall.hit": score}}})
    scene = Watched(run).look()
    assert len(scene.done) == 4
    assert scene.place("quantization", "recall.hit").shown == 0.9


def test_how_a_run_ended(tmp_path):
    for name, error, state in (
        ("stopped", KeyboardInterrupt(), State.STOPPED),
        ("error", ValueError("x"), State.BROKEN),
    ):
        plan = begun(tmp_path / name / "run")
        with pytest.raises(type(error)), journal(tmp_path / name / "run") as log:
            log.begin(plan.jobs, [])
            raise error
        assert Watched(tmp_path / name / "run").look().state is state
    killed = tmp_path / "killed" / "run"
    half_way(killed, begun(killed))
    held_by(killed, 2**22 + 1)  # no process has that number
    scene = Watched(killed).look()
    assert (scene.state, scene.running) == (State.GONE, {})
    held_by(killed, os.getpid())  # a later process with the same number, which holds no lock
    assert Watched(killed).look().state is State.GONE
    assert "refresh" not in page(scene, 2)


def test_a_run_that_is_begun_again_is_told_again(tmp_path):
    run = tmp_path / "run"
    plan = begun(run)
    half_way(run, plan)
    watched = Watched(run)
    assert watched.look().faults == 1
    (run / EVENTS).unlink()
    with journal(run) as log:
        log.begin(plan.jobs, [])
    scene = watched.look()
    assert scene.faults == 0


def test_a_run_that_goes_on_counts_what_earlier_ones_did(tmp_path):
    run = tmp_path / "run"
    plan = begun(run)
    half_way(run, plan)
    for job in (plan.jobs[0], plan.jobs[2]):
        (run / "jobs" / job.key).mkdir(parents=True)
        write_json(run / "jobs" / job.key / "job.json", {"means": {"plain": {"recall.hit": 0.5}}})
    with journal(run) as log:
        log.begin(plan.jobs, [plan.jobs[0], plan.jobs[2]])
    scene = Watched(run).look()
    assert (scene.done, scene.faults) == ({plan.jobs[0].key, plan.jobs[2].key}, 0)
    assert scene.messages[-1][1] == "4 jobs, 2 already done"


def test_a_finished_run_ends_with_its_verdict(tmp_path, invoke):
    for name, audit, code in (("good", small(), 0), ("bad", small().score(1.0, **LEAK), 1)):
        finished_run(tmp_path / name, audit)
        found, out, _ = invoke("watch", tmp_path / name)
        assert found == code
        assert ("PASS" if code == 0 else "FAIL") in out
        with journal(tmp_path / name) as log:
            log.begin([], [])
        assert manifest_problems(tmp_path / name)[1] == []  # what is told is no evidence, and is not sealed


def test_what_is_no_run_is_refused(tmp_path, invoke):
    (tmp_path / "empty").mkdir()
    for place in ("nowhere", "empty"):
        code, _, err = invoke("watch", tmp_path / place)
        assert code == 2 and "expected a run directory" in err
    begun(tmp_path / "run")
    code, _, err = invoke("watch", tmp_path / "run", "--once", "--html", tmp_path / "run" / "w.html")
    assert code == 2 and "nothing is written" in err
    assert not (tmp_path / "run" / "w.html").exists()


def test_hostile_names_are_text(tmp_path, invoke):
    run = tmp_path / "run"
    plan = begun(run, HOSTILE)
    held_by(run, 1, host="another")
    jobs = [job.model_copy(update={"attack": HOSTILE}) for job in plan.jobs]
    write_json(run / PLAN, plan.model_copy(update={"jobs": tuple(jobs), "attacks": {HOSTILE: {}}}).as_json())
    with journal(run) as log:
        log.begin(jobs, [])
        log.started(jobs[2])
        log.working(jobs[2], Work(seconds=1.0, tokens=Tokens(read=3)))
        log.probed(jobs[2], HOSTILE, "recall", {"recall.hit": 1.0})
        log.finished(jobs[2], 1.0, HOSTILE)
    code, out, _ = invoke("watch", run, "--once", "--html", tmp_path / "w.html")
    assert code == 3 and "\x1b[31m" not in out
    shown = (tmp_path / "w.html").read_text()
    assert "<script" not in shown and "\x1b" not in shown and "&lt;script&gt;" in shown


def test_watching_turns_no_run_away(tmp_path):
    run = tmp_path / "run"
    begun(run)
    watched = Watched(run)
    watched.look()
    with run_directory(run):
        assert watched.look().state is State.RUNNING
        with run_directory(tmp_path / "other"):
            assert watched.look().state is State.RUNNING
    assert watched.look().state is State.GONE
    shutil.rmtree(run)
    assert watched.look().state is State.GONE
