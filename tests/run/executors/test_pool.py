"""The pool with workers that die when they are told to: the same evidence, faults in words, nothing done twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.run.test_extractions import Hands, Marks
from tests.run.test_runner import Bare, Hides, Nothing, laid_out, planned
from tests.run.test_runner import spec as spec  # the fixture
from unlearn_audit.api import FactSet
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.errors import AttackError, IntegrityError, NotApplicableError, Notice, SpecError
from unlearn_audit.evidence.observations import evidence_digest
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.run import runner
from unlearn_audit.run.executors.messages import Died, Done, Message, Noticed, Refused, Task, Told
from unlearn_audit.run.executors.pool import MOST_TRIES, Pool, needs_of
from unlearn_audit.run.executors.station import _Relay
from unlearn_audit.run.jobs.workplace import Gathered, Workplace
from unlearn_audit.run.records import job_records
from unlearn_audit.run.runner import Worker, run
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.run.transcripts import Outputs
from unlearn_audit.run.units import Unit


class Here:
    """A place whose workers are objects of this process, each with all that a process of its own would have."""

    def __init__(self, live: LivePlan, out: Path, deaths: Sequence[str] = (), *, always: bool = False) -> None:
        self.live, self.out = live, out
        self.deaths = list(deaths)  # titles of units, each of which ends one worker
        self.always = always  # or the first worker that gets a unit is ended, for every unit
        self.tried: set[str] = set()
        self.did: list[tuple[int, Unit]] = []
        self.ended: list[int] = []
        self.closed = 0

    def count(self, needs) -> int:
        return 2

    def hire(self, post, number) -> _Fellow:
        assert (post.run / ".scratch" / post.token).is_file()
        return _Fellow(self, number)

    def heard(self, hired, seconds) -> list[tuple[_Fellow, Message]]:
        return [(one, message) for one in hired for message in one.said()]

    def close(self) -> None:
        self.closed += 1


class _Fellow:
    def __init__(self, place: Here, number: int) -> None:
        self.place, self.number, self.tell = place, number, []
        store = EvidenceStore(place.out)
        facts = place.live.pool(FactSet.FORGET)
        work = Workplace.of(place.live, store, _Relay(self.tell.append), Outputs(place.out, KeptText.NONE, facts))
        self.work, self.worker, self.task = work, Worker(work), None

    def assign(self, task: Task) -> None:
        assert self.task is None
        self.task = task

    def said(self) -> list[Message]:
        if self.task is None:
            return []
        task, self.task = self.task, None
        if self.dies(task.unit):
            return [Died(how="was ended by a test")]
        assert all(self.work.store.has(key) for key in task.present)
        self.place.did.append((self.number, task.unit))
        self.work.gathered.faults.clear()
        self.work.gathered.add(task.known)
        try:
            self.worker.do(task.unit)
        except (SpecError, IntegrityError) as error:
            return [Refused(kind=type(error).__name__, message=str(error))]
        found = Gathered()
        found.add(self.work.gathered)
        said, self.tell[:] = list(self.tell), []
        return [*said, Done(gathered=found, kept=tuple(key for key in task.unit.makes if self.work.store.has(key)))]

    def dies(self, unit: Unit) -> bool:
        first = unit.id not in self.place.tried
        self.place.tried.add(unit.id)
        named = next((name for name in self.place.deaths if name in unit.title), None)
        if named is not None:
            self.place.deaths.remove(named)
        return named is not None or (first and self.place.always)

    def end(self) -> None:
        self.place.ended.append(self.number)


class Counts(Quiet):
    """Counts what it is told."""

    def __init__(self) -> None:
        super().__init__(Console(stderr=True))
        self.told: Counter[str] = Counter()

    def finished(self, job, seconds, fault) -> None:
        self.told[job.key] += 1


class Prepares(Bare):
    """Prepares on the original, counts how often, and may fail."""

    name = "prepares"
    error: Exception | None = None
    times = 0

    def prepare(self, original, context):
        type(self).times += 1
        if self.error:
            raise self.error
        return {"chosen": 7}

    def doses(self, model, arm, context):
        assert context.prepared["chosen"] == 7
        yield from super().doses(model, arm, context)


@pytest.fixture
def live(spec) -> LivePlan:
    """A baseline, and an attack that prepares."""
    Prepares.times = 0
    return planned(spec, Prepares(Nothing()))


@pytest.fixture
def full(spec) -> LivePlan:
    """Plants and comparisons that hand on as well."""
    draft = planned(spec.model_copy(update={"plant": True}), Prepares(Nothing()), Hides(Nothing()))
    return laid_out(replace(draft, comparisons={one.name: one(Nothing()) for one in (Marks, Hands)}))


def shared(live: LivePlan, out: Path, **more) -> tuple[Gathered, EvidenceStore, Here]:
    place, store = Here(live, out, **more), EvidenceStore(out)
    pool = Pool(place)
    try:
        return run(live, store, Counts(), None, pool), store, place
    finally:
        pool.close()


def digest(live: LivePlan, store: EvidenceStore, gathered: Gathered) -> str:
    features = [one.model_dump_json(exclude={"seconds"}) for one in gathered.comparisons]
    assert all('"error":null' in one for one in features)
    return evidence_digest(store.gather(job_records(live.plan, store, gathered.faults))) + "".join(features)


def test_the_evidence_is_that_of_one_process_whoever_dies(full, tmp_path):
    alone = EvidenceStore(tmp_path / "alone")
    right = digest(full, alone, run(full, alone, Counts()))
    with pytest.warns(Notice, match="another one tries again") as notices:
        gathered, store, place = shared(full, tmp_path / "shared", always=True)
    assert (digest(full, store, gathered), gathered.faults) == (right, [])
    assert {number for number, _ in place.did} == {0, 1}
    assert set(Counter(unit.id for _, unit in place.did).values()) == {1}
    assert len(notices) == len(place.did) == len(place.tried)


def test_preparations_are_made_once_and_each_worker_loads_its_model_once(live, tmp_path, monkeypatch):
    loads: Counter[str] = Counter()
    really = runner.loaded

    def counted(checkpoint, options):
        loads[checkpoint.reference] += 1
        return really(checkpoint, options)

    monkeypatch.setattr(runner, "loaded", counted)
    gathered, _, place = shared(live, tmp_path / "run")
    assert not gathered.faults
    assert Prepares.times == 1
    assert {number for number, _ in place.did} == {0, 1}
    assert sum(loads.values()) <= 3  # a worker that has nothing left lends a hand with the other's model


def test_a_unit_that_takes_its_workers_with_it_is_a_fault_in_words_and_costs_nobody_else(live, tmp_path):
    with pytest.warns(Notice, match="another one tries again"):
        gathered, store, _ = shared(live, tmp_path / "run", deaths=["prepares (bare) on unlearned"] * MOST_TRIES)
    (fault,) = gathered.faults
    assert (fault.attack, fault.model) == ("prepares", "unlearned")
    assert fault.message.startswith("3 workers ended while they did this, the last one was ended by a test")
    assert sum(not store.has(job.key) for job in live.plan.jobs) == 1


def test_whatever_takes_its_workers_with_it_is_said(full, live, tmp_path):
    deaths = [name for name in ("prepares: preparing", "marks: features of unlearned") for _ in range(MOST_TRIES)]
    with pytest.warns(Notice, match="another one tries again"):
        gathered, _, _ = shared(full, tmp_path / "run", deaths=deaths)
    said = {(fault.attack, fault.message.partition(" (")[0]) for fault in gathered.faults}
    why = "3 workers ended while they did this, the last one was ended by a test; too little memory may be why"
    assert said == {("prepares", f"could not prepare on the original: {why}")}
    assert {one.name: one.error for one in gathered.comparisons} == {"marks": f"on unlearned: {why}", "hands": None}
    with (
        pytest.warns(Notice, match="another one tries again"),
        pytest.raises(SpecError, match="original: 3 workers ended"),
    ):
        shared(live, tmp_path / "other", deaths=["opening original"] * MOST_TRIES)


@pytest.mark.parametrize("error", [AttackError("would not hide"), NotApplicableError("no such layers")])
def test_what_could_not_be_prepared_is_known_to_every_worker(live, tmp_path, error, monkeypatch):
    monkeypatch.setattr(Prepares, "error", error)
    alone, (gathered, _, _) = run(live, EvidenceStore(tmp_path / "a"), Counts()), shared(live, tmp_path / "b")
    assert Prepares.times == 2  # once in each run

    def said(found):
        return sorted((fault.attack, fault.arm, fault.model, fault.message, fault.skipped) for fault in found.faults)

    assert said(alone) == said(gathered)
    assert all(str(error) in fault.message for fault in gathered.faults)


def test_each_job_is_told_once_also_where_a_worker_died_after_it_had_kept_it(live, tmp_path, monkeypatch):
    place, store = Here(live, tmp_path / "run"), EvidenceStore(tmp_path / "run")
    really, progress, died = _Fellow.said, Counts(), []

    def said(self):
        title = self.task.unit.title if self.task is not None else ""
        found = really(self)
        if title == "prepares (bare) on unlearned" and not died:
            died.append(title)
            return [*(one for one in found if isinstance(one, Told) and one.event == "loading"), Died(how="ended")]
        return found

    monkeypatch.setattr(_Fellow, "said", said)
    with pytest.warns(Notice, match=r"worker . ended in prepares \(bare\) on unlearned"):
        gathered = run(live, store, progress, None, Pool(place))
    assert not gathered.faults
    assert progress.told == {job.key: 1 for job in live.plan.jobs}


def test_an_interrupt_ends_all_workers_and_an_error_too(live, tmp_path):
    class Interrupts(Counts):
        def started(self, job) -> None:
            raise KeyboardInterrupt

    place = Here(live, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run(live, EvidenceStore(tmp_path / "run"), Interrupts(), None, Pool(place))
    assert place.closed
    assert sorted(place.ended) == [0, 1]

    class Changes(Here):
        def heard(self, hired, seconds):
            return [(hired[0], Refused(kind="IntegrityError", message="facts.jsonl: changed"))]

    other = Changes(live, tmp_path / "other")
    with pytest.raises(IntegrityError, match=r"facts.jsonl: changed"):
        run(live, EvidenceStore(tmp_path / "other"), Counts(), None, Pool(other))
    assert sorted(other.ended) == [0, 1]


def test_a_notice_of_a_worker_and_a_failure_of_ours_reach_the_user(live, tmp_path):
    class Says(Here):
        message: Message = Noticed(text="a job is damaged")

        def heard(self, hired, seconds):
            return [(hired[0], self.message), (hired[0], Refused(kind="", message="TypeError: oh"))]

    with (
        pytest.warns(Notice, match="a job is damaged"),
        pytest.raises(RuntimeError, match="a worker failed: TypeError: oh"),
    ):
        run(live, EvidenceStore(tmp_path / "run"), Counts(), None, Pool(Says(live, tmp_path / "run")))


def test_nobody_is_hired_where_nothing_is_left_to_do(live, tmp_path):
    run(live, EvidenceStore(tmp_path / "run"), Counts())
    gathered, _, place = shared(live, tmp_path / "run")
    assert not gathered.faults
    assert not place.did
    assert not place.ended


def test_one_device_for_all_workers_is_refused_before_the_first_job(live, tmp_path):
    models = live.plan.spec.models.model_copy(update={"device": "cuda:1"})
    spec = live.plan.spec.model_copy(update={"models": models})
    with pytest.raises(SpecError, match="--device cuda:1: each worker has a device of its own"):
        needs_of(live.plan.model_copy(update={"spec": spec}))
    found = needs_of(live.plan)
    weights = max(model.checkpoint.extent.weights for model in live.plan.models)
    assert (found.device, found.bytes, found.threads) == ("cpu", 2 * 4 * weights, 1)
