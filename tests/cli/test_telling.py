"""What a run says while it goes: nothing, lines, every dose; events as JSON; colours only where somebody looks."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from tests.cli.test_cli import invoke as invoke
from tests.golden import sample
from unlearn_audit.api import Role
from unlearn_audit.audit.telling.course import Course
from unlearn_audit.audit.telling.progress import Both, Detailed, Lines, Live, Quiet, make_progress, show_proofs
from unlearn_audit.audit.telling.time_left import TimeLeft
from unlearn_audit.cli import common as shared
from unlearn_audit.cli.common import Telling
from unlearn_audit.cli.telling.event_log import event_log
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.models.modules.tally import Tokens
from unlearn_audit.plan.forecasting.forecast import Forecast, JobForecast
from unlearn_audit.report.formats.console import summary
from unlearn_audit.run.progress import Work

MODEL = SimpleNamespace(name="unlearned", role=Role.UNLEARNED, checkpoint=SimpleNamespace(reference="models/npo"))
CELL = SimpleNamespace(
    key="1",
    title="quantization (nf4) on unlearned",
    attack="quantization",
    label="nf4",
    arm=SimpleNamespace(doses=1),
    probes=("recall", "forced-choice"),
    model=MODEL,
    seed=3,
    plant=None,
)
OTHER = SimpleNamespace(
    **{**vars(CELL), "key": "2", "title": "noise on unlearned", "attack": "noise", "label": "gaussian"}
)
CONTROL = SimpleNamespace(name="retrained", role=Role.RETRAINED)
ITS = SimpleNamespace(**{**vars(CELL), "key": "3", "model": CONTROL, "title": "quantization (nf4) on retrained"})
SCORES = {"recall": {"recall.hit": 0.98}, "forced-choice": {"forced-choice.top1": 0.5}}


def plain() -> Console:
    return Console(file=io.StringIO(), width=200)


def run_through(progress) -> None:
    progress.begin([CELL, OTHER], [])
    progress.loading(MODEL)
    progress.preparing("relearning")
    progress.kept(ITS, {"nf4": {"recall.hit": 0.03}})
    progress.started(CELL)
    for probe, scores in SCORES.items():
        progress.probing(CELL, "nf4", probe)
        progress.working(CELL, Work(seconds=1.0, tokens=Tokens(read=50), done=120, of=400))
        progress.probed(CELL, "nf4", probe, scores)
    progress.dose(CELL, "nf4", {"recall.hit": 0.98, "forced-choice.top1": 0.5})
    progress.finished(CELL, 2.5, None)
    progress.started(OTHER)
    progress.finished(OTHER, 0.5, "no [memory]")


def said(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_jobs_that_run_side_by_side_end_with_their_own_scores(tmp_path):
    console, path = plain(), tmp_path / "events.jsonl"
    with event_log(path) as log:
        for progress in (Lines(console), log):
            progress.begin([CELL, OTHER], [])
            progress.started(CELL)
            progress.started(OTHER)
            progress.dose(CELL, "nf4", {"recall.hit": 0.98})
            progress.dose(OTHER, "sigma 0.1", {"recall.hit": 0.25})
            progress.finished(CELL, 2.5, None)
            progress.finished(OTHER, 0.5, None)
    assert said(console)[3:] == [
        "[1/2] quantization (nf4) on unlearned: nf4: recall.hit 98 % (2.5 s)",
        "[2/2] noise on unlearned: sigma 0.1: recall.hit 25 % (0.5 s)",
    ]
    done = [json.loads(line) for line in path.read_text().splitlines()][-2:]
    assert [each["scores"] for each in done] == [{"recall.hit": 0.98}, {"recall.hit": 0.25}]


def test_the_log_has_a_line_of_json_for_each_event(tmp_path):
    path = tmp_path / "events.jsonl"
    with event_log(path) as log:
        run_through(log)
        log.verdict(sample.failed())
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["event"] for each in events] == [
        "begin",
        "loading",
        "preparing",
        "started",
        "probe",
        "probe",
        "dose",
        "done",
        "started",
        "fault",
        "verdict",
    ]
    assert all(each["time"].endswith("+00:00") for each in events)
    probe, done, fault, verdict = events[4], events[7], events[9], events[10]
    assert probe["beside"] == {"recall.hit": {"checkpoint": 0.98, "control": 0.03}}
    assert (done["attack"], done["arm"], done["model"], done["seed"]) == ("quantization", "nf4", "unlearned", 3)
    assert done["seconds"] == 2.5 and done["scores"]["recall.hit"] == 0.98
    assert fault["message"] == "no [memory]"
    assert (verdict["outcome"], verdict["exit_code"]) == ("FAIL", 1)
    assert path.stat().st_mode & 0o077 == 0


def test_a_log_is_added_to_and_says_why_a_run_ended(tmp_path):
    path = tmp_path / "events.jsonl"
    for error in (KeyboardInterrupt(), AuditError("no memory"), ValueError("\x1b[31modd")):
        with pytest.raises(type(error)), event_log(path):
            raise error
    text = path.read_text()
    events = [json.loads(line) for line in text.splitlines()]
    assert [each["event"] for each in events] == ["stopped", "error", "error"]
    assert events[1]["message"] == "no memory" and events[2]["message"].startswith("ValueError")
    assert text.replace("\n", "").isprintable()


def test_a_log_that_cannot_be_written_stops_a_run_before_it_begins(tmp_path):
    with pytest.raises(SpecError, match=r"--log-file .*cannot be written"), event_log(tmp_path / "no" / "log"):
        pass


def test_quiet_says_faults_alone():
    console = plain()
    run_through(make_progress(console, quiet=True))
    assert said(console) == ["error noise on unlearned: no [memory]"]


def test_lines_say_each_job_and_more_says_each_dose():
    console = plain()
    run_through(make_progress(console, quiet=False))
    lines = said(console)
    assert lines[3] == "[1/2] quantization (nf4) on unlearned: started"
    assert lines[4] == "[1/2] quantization (nf4) on unlearned: nf4: recall.hit 98 % (control 3 %) (2.5 s)"
    assert len(lines) == 7  # what goes on inside a job is said twice a minute
    more = plain()
    run_through(make_progress(more, quiet=False, verbose=True))
    assert "  nf4: recall.hit 98 %, forced-choice.top1 50 %" in said(more)
    assert "  recall: nf4: recall.hit 98 % (control 3 %)" in said(more)
    assert set(said(console)) < set(said(more))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def job(key: str, probes=("recall", "forms"), doses: int = 1) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(CELL), "key": key, "probes": probes, "arm": SimpleNamespace(doses=doses)})


def test_without_a_forecast_the_time_left_is_that_of_as_many_jobs_as_are_left_whoever_shares_them():
    clock, jobs = Clock(), [job(str(place)) for place in range(6)]
    left = TimeLeft(clock)
    left.begin(jobs, [])
    for first, second in zip(jobs[0:4:2], jobs[1:4:2], strict=True):  # two workers, whose events alternate
        left.started(first)
        clock.now += 1
        left.started(second)
        for probe in ("recall", "forms"):
            for one in (first, second):
                left.probing(one)
                clock.now += 2
                left.probed(one, probe)
        clock.now += 1
        left.finished(first)
        left.finished(second)
    assert clock.now == 20
    assert left.seconds() == pytest.approx(10)


def test_the_time_left_goes_by_the_forecast_and_is_corrected_by_what_was_measured():
    clock = Clock()
    jobs = [job("1"), job("2")]
    left = TimeLeft(clock)
    left.begin(jobs, [])
    assert left.seconds() is None
    left.forecast(forecast_of({one.key: {"recall": 10.0, "forms": 30.0} for one in jobs}))
    assert left.seconds() == pytest.approx(80)
    clock.now = 5
    assert left.seconds() == pytest.approx(75)  # it moves while a probe is at work
    left.started(jobs[0])
    left.probing(jobs[0])
    clock.now = 25
    left.probed(jobs[0], "recall")  # twice its time
    assert 100 < left.seconds() < 140  # both kinds take longer, and recall, which was seen to, more so
    clock.now = 85
    left.probed(jobs[0], "forms")
    left.finished(jobs[0])
    assert left.seconds() == pytest.approx(80, rel=0.1)
    clock.now = 85 + 40
    assert left.seconds() == pytest.approx(40, rel=0.2)
    left.started(jobs[1])
    left.finished(jobs[1])  # skipped, or faster than anybody thought
    assert left.seconds() == 0


def forecast_of(probes: dict[str, dict[str, float]]) -> Forecast:
    jobs = {key: JobForecast(own=0.0, probes=found) for key, found in probes.items()}
    return Forecast(attacks={"quantization": 1.0}, probes={}, jobs=jobs)


def test_a_log_has_a_heartbeat_twice_a_minute_and_no_more_often(tmp_path):
    clock, console = Clock(), plain()
    lines = Lines(console)
    lines._course = Course(clock)
    with event_log(tmp_path / "log") as log:
        log._course = Course(clock)
        both = Both(lines, log)
        both.begin([CELL], [])
        both.started(CELL)
        both.probing(CELL, "nf4", "recall")
        for second in range(100):
            clock.now = second
            both.working(CELL, Work(seconds=second, tokens=Tokens(read=9), done=second, of=400))
    beats = [line for line in said(console) if line.startswith("  ")]
    assert beats[0] == "  quantization (nf4) on unlearned: nf4: recall, 30 of 400" and len(beats) == 3
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [each["done"] for each in events if each["event"] == "working"] == [30, 60, 90]


def test_both_hear_everything(tmp_path):
    console = plain()
    with event_log(tmp_path / "log") as log:
        run_through(Both(Lines(console), log))
    assert len(said(console)) == 7 and len((tmp_path / "log").read_text().splitlines()) == 10


def test_what_proves_a_job_is_said_of_the_checkpoint_and_events_of_every_model():
    console = plain()
    show_proofs(sample.failed().jobs, console)
    lines = said(console)
    assert any("quantization (bitsandbytes) on checkpoint-npo, proof of nf4" in line for line in lines)
    assert not any("on retrained-1, proof" in line for line in lines)
    assert "relearning (full, fold 1) on original: batch halved to 16 for memory" in lines


def test_a_display_fits_where_it_is_shown():
    terminal = Console(file=io.StringIO(), force_terminal=True)
    assert type(make_progress(terminal, quiet=False)) is Live
    assert type(make_progress(terminal, quiet=False, verbose=True)) is Detailed
    assert type(make_progress(terminal, quiet=True)) is Quiet


def test_more_and_nothing_are_not_asked_for_at_once(invoke):
    with pytest.raises(SpecError, match="expected --quiet or --verbose, got both"):
        Telling(quiet=True, verbose=True)
    code, _, stderr = invoke("demo", "-q", "-v")
    assert code == 2 and "--quiet or --verbose, got both" in stderr


class Screen(io.StringIO):
    def __init__(self, *, looked_at: bool) -> None:
        super().__init__()
        self._looked_at = looked_at

    def isatty(self) -> bool:
        return self._looked_at


@pytest.mark.parametrize(
    ("looked_at", "no_color", "colored"), [(True, None, True), (True, "1", False), (False, None, False)]
)
def test_colours_are_for_terminals_that_want_them(monkeypatch, looked_at, no_color, colored):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    screen = Screen(looked_at=looked_at)
    monkeypatch.setattr(sys, "stdout", screen)
    summary(sample.failed(), shared.stdout())
    colours = [f"\x1b[{bold}3{number}" for bold in ("", "1;") for number in range(8)]
    assert any(colour in screen.getvalue() for colour in colours) is colored
    if not looked_at:
        assert "\x1b" not in screen.getvalue()


def test_the_last_line_says_what_happened_and_what_to_do_next_and_reports_stand_above_it(tmp_path):
    console = Console(file=io.StringIO(), width=80)
    summary(sample.failed(), console, tmp_path)
    lines = said(console)
    assert lines[-1].startswith("FAIL (exit code 1). Do not release")
    assert any(line.startswith("Reports") for line in lines) and max(map(len, lines)) <= 80
