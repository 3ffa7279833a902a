"""Which executor a user gets, and what a place can give: refusals in one sentence, shares of a cluster, cores."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import unlearn_audit
from unlearn_audit import errors
from unlearn_audit.errors import MissingExtraError, SpecError
from unlearn_audit.run.executors import local, pool
from unlearn_audit.run.executors.choice import executor_of, for_small_models
from unlearn_audit.run.executors.interface import Needs
from unlearn_audit.run.executors.kinds import Kind
from unlearn_audit.run.executors.local import Local
from unlearn_audit.run.executors.on_ray import shares_of
from unlearn_audit.run.executors.pool import Pool

GIB = 2**30


def needs(device: str = "cpu", *, spread: bool = False, size: int = GIB, threads: int | None = None) -> Needs:
    return Needs(device=device, spread=spread, bytes=size, threads=threads)


def test_one_worker_is_this_process_and_several_are_a_pool():
    assert executor_of(Kind.LOCAL, None, None) is None
    assert executor_of(Kind.LOCAL, 1, None) is None
    assert isinstance(executor_of(Kind.LOCAL, 2, None), Pool)


@pytest.mark.parametrize(
    ("device", "threads", "cores", "workers"),
    [("cpu", 1, 2, 2), ("cpu", 1, 8, 4), ("cpu", 1, 1, None), ("cpu", None, 8, None), ("cuda", 1, 8, None)],
)
def test_small_models_get_a_worker_a_core_and_never_more_than_there_are_devices(
    monkeypatch, device, threads, cores, workers
):
    monkeypatch.setattr(local, "own_cores", lambda: list(range(cores)))
    monkeypatch.setattr(pool, "needs_of", lambda plan: needs(device, threads=threads))
    found = for_small_models(None, 4)
    assert (None if found is None else found._place._workers) == workers


def test_without_ray_the_refusal_is_one_sentence_that_names_the_extra(monkeypatch):
    monkeypatch.setattr(errors, "find_spec", lambda module: None)
    with pytest.raises(MissingExtraError) as refused:
        executor_of(Kind.RAY, 3, "auto")
    assert str(refused.value) == (
        "`--executor ray` needs ray, which is not installed: pip install 'unlearn-audit[ray]'"
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((Kind.LOCAL, 0, None), "--workers 0: expected 1 or more"),
        ((Kind.LOCAL, 2, "auto"), "--address auto: is the address of a Ray cluster; add --executor ray"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(asked, said):
    with pytest.raises(SpecError, match=said):
        executor_of(*asked)


def test_nothing_imports_ray_when_it_is_loaded():
    found = []
    home = Path(unlearn_audit.__file__).parent
    for path in (path for room in ("run", "cli") for path in (home / room).rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found += [path for name in names if name.partition(".")[0] == "ray"]
    assert not found


def test_cores_are_dealt_out_and_shared_where_there_are_too_few(monkeypatch):
    monkeypatch.setattr(local, "own_cores", lambda: [0, 1, 2, 3, 4])
    assert Local(2)._cores == [(0, 1), (2, 3, 4)]
    monkeypatch.setattr(local, "own_cores", lambda: [0, 1])
    assert Local(3)._cores == [(0,), (1,), (0,)]


def test_each_local_worker_has_a_device_of_its_own_or_a_share_for_a_spread_model(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,5,7")
    place = Local(2)
    assert place.count(needs("cuda")) == 2
    assert place._devices == [("2",), ("5",)]
    assert place.count(needs("cuda", spread=True)) == 2
    assert place._devices == [("2", "3"), ("5", "7")]
    with pytest.raises(SpecError, match=r"--workers 5: expected as many CUDA devices, got 4; give --workers 4"):
        Local(5).count(needs("cuda"))


NODES = [{"CPU": 8.0, "memory": 64.0 * GIB, "GPU": 4.0}, {"CPU": 8.0, "memory": 64.0 * GIB, "GPU": 4.0}, {"CPU": 2.0}]


@pytest.mark.parametrize(
    ("need", "asked", "workers", "shares"),
    [
        (needs(), None, 2, {"CPU": 8, "memory": 2 * GIB}),  # the third node has no memory
        (needs(), 2, 2, {"CPU": 8, "memory": 2 * GIB}),
        (needs(), 4, 4, {"CPU": 4, "memory": 2 * GIB}),
        (needs(threads=1), 2, 2, {"CPU": 1, "memory": 2 * GIB}),
        (needs("cuda", threads=1), None, 8, {"CPU": 1, "memory": 0, "GPU": 1}),
        (needs("cuda", spread=True, threads=1), None, 2, {"CPU": 1, "memory": 0, "GPU": 4}),
        (needs("cuda", spread=True, threads=1), 4, 4, {"CPU": 1, "memory": 0, "GPU": 2}),
        (needs(size=64 * GIB), 1, 1, None),
        (needs("cuda"), 9, 9, None),
    ],
)
def test_a_cluster_gives_each_worker_what_the_plan_needs_and_no_more_workers_than_it_has_room_for(
    need, asked, workers, shares
):
    if shares is None:
        with pytest.raises(SpecError, match=f"expected room for {workers} workers of .*, got room for"):
            shares_of(NODES, need, asked)
        return
    assert shares_of(NODES, need, asked) == (workers, shares)
