"""Where a benchmark's files are looked for, and what is said where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.facts.test_benchmarks import publish, read
from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.plugins import PRESETS, named
from unlearn_audit.cli.app import app
from unlearn_audit.errors import SpecError
from unlearn_audit.facts import rows as facts_rows
from unlearn_audit.facts.load import load_facts


def preset(name: str) -> FactPreset:
    return named(PRESETS, FactPreset, name, "test")()


def test_files_may_stand_in_the_folder_data_as_the_hub_has_them(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for part in preset("tofu").parts("forget10"):
        rows = preset("tofu").example_parts[part.name]
        pd.DataFrame(rows).to_parquet(tmp_path / "data" / f"{part.files[-1]}-00000-of-00001.parquet")
    assert set(read(tmp_path, "tofu/forget10")) == {"forget", "retain", "holdout"}


def test_a_folder_below_that_has_the_files_is_named(tmp_path: Path) -> None:
    publish(tmp_path / "TOFU", preset("tofu"), "forget10")
    with pytest.raises(SpecError) as caught:
        read(tmp_path, "tofu/forget10")
    assert "expected forget10_perturbed, forget10 as .jsonl" in str(caught.value)
    assert f"give --data {tmp_path / 'TOFU'}, which has it" in str(caught.value)
    publish(tmp_path / "copy", preset("tofu"), "forget10")
    with pytest.raises(SpecError, match=r"give one of the folders that have it with --data: .*TOFU, .*copy"):
        read(tmp_path, "tofu/forget10")


def test_a_packed_file_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "forget10.json.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(SpecError, match=r"forget10\.json\.gz is packed: unpack it first"):
        read(tmp_path, "tofu/forget10")


@pytest.mark.parametrize(
    ("benchmark", "cached"),
    [
        ("tofu/forget10:", "locuslab/TOFU:forget10"),
        ("muse/books:", "muse-bench/MUSE-Books:knowmem@retain2_qa"),
    ],
)
def test_from_the_cache_a_part_may_have_any_of_its_names(monkeypatch: Any, benchmark: str, cached: str) -> None:
    name = FactSet.RETAIN if "retain" in cached else FactSet.FORGET
    rows = preset("tofu").example if "TOFU" in cached else [{"question": "Who?", "answer": "Jon"}]

    def stored(source: str, *, download: bool) -> Any:
        if source != cached:
            raise SpecError("not cached")
        return iter([(f"row {number}", dict(row)) for number, row in enumerate(rows, 1)])

    monkeypatch.setattr(facts_rows.stored, "read_dataset", stored)
    assert load_facts(benchmark, name).facts


@pytest.mark.parametrize(
    ("benchmark", "files"),
    [
        ("lume", {"forget": "validation/forget", "retain": "validation/retain"}),
        ("lume", {"forget": "data/forget_validation", "retain": "data/retain_validation"}),
        ("wmdp/bio", {"questions": "bio_questions"}),
        ("mquake", {"cases": "data/CF3k"}),
    ],
)
def test_other_names_of_published_files(tmp_path: Path, benchmark: str, files: dict[str, str]) -> None:
    for part, file in files.items():
        path = tmp_path / f"{file}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps([dict(row) for row in preset(benchmark.partition("/")[0]).example_parts[part]]))
    assert read(tmp_path, benchmark)["forget"].facts


def test_mquake_as_a_table_of_the_hub(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pd.DataFrame(preset("mquake").example).to_parquet(tmp_path / "data" / "CF3k-00000-of-00001.parquet")
    found = read(tmp_path, "mquake")
    assert [len(found[name].facts) for name in ("forget", "retain")] == [1, 1]


def test_rwkus_folders_of_persons_are_all_of_them(tmp_path: Path) -> None:
    row = {"query": "Who?", "answer": "A", "level": "2"}
    for number, who in enumerate(("Hanne Osk", "Jon Weir"), 1):
        folder = tmp_path / "Target" / f"{number}_{who.replace(' ', '_')}"
        folder.mkdir(parents=True)
        for part in preset("rwku").parts(""):
            if part.set is not None:
                about = "Near" if part.set is FactSet.RETAIN else who
                rows = [{**row, "subject": who, "query": f"{about}, {part.name}?"}]
                (folder / f"{part.name}.json").write_text(json.dumps(rows))
    found = read(tmp_path, "rwku")
    assert [len({fact.subject for fact in found[name].facts}) for name in ("forget", "retain")] == [2, 2]
    assert len(found["forget"].facts) == 6
    assert {fact.subject for fact in read(tmp_path, "rwku/jon_weir")["forget"].facts} == {"Jon Weir"}


ASKED = {"query": "Who wrote Salt Roads?", "answer": "Marisol Tveit", "level": "2", "subject": "Marisol Tveit"}


def test_other_answers_to_one_of_rwkus_questions_are_aliases(tmp_path: Path) -> None:
    rows = [
        ASKED,
        {**ASKED, "answer": "M. Tveit"},
        {**ASKED, "level": "3"},
        {**ASKED, "query": "who wrote  Salt Roads?", "answer": "Tveit", "level": "3"},
        {**ASKED, "answer": "Jon Weir", "subject": "Hanne Osk"},
    ]
    (tmp_path / "forget_level2.json").write_text(json.dumps(rows))
    facts = load_facts(f"rwku:{tmp_path / 'forget_level2.json'}", FactSet.FORGET).facts
    assert [(fact.answer, fact.aliases) for fact in facts] == [
        ("Marisol Tveit", ("M. Tveit", "Tveit")),
        ("Marisol Tveit", ()),
        ("Jon Weir", ()),
    ]


@pytest.mark.parametrize(
    ("source", "row", "expected"),
    [
        ("rwku:neighbor_level1", ASKED, ("neighbours of Marisol Tveit", "neighbours")),
        ("rwku/Marisol_Tveit:neighbor_level1", ASKED, ("neighbours of Marisol Tveit", "neighbours")),
        ("dusk:GeneralQA", {"question": "What does she teach?", "answer": "Locks"}, (None, "shared")),
        ("tofu:world_facts", {"question": "Where does the Tarn end?", "answer": "Ostrow"}, (None, "world facts")),
    ],
)
def test_a_file_of_the_retain_set_alone_is_read_as_that(
    tmp_path: Path, source: str, row: dict[str, str], expected: tuple[str | None, str]
) -> None:
    name, _, file = source.partition(":")
    (tmp_path / f"{file}.json").write_text(json.dumps([row]))
    found = {one: load_facts(f"{name}:{tmp_path / file}.json", one) for one in (FactSet.FORGET, FactSet.RETAIN)}
    assert [any("in its retain set" in said for said in one.remarks) for one in found.values()] == [True, False]
    (fact,) = found[FactSet.RETAIN].facts
    assert (fact.subject if expected[0] else None, fact.part) == expected
    shown = CliRunner().invoke(app, ["facts", "check", str(tmp_path / f"{file}.json"), "--preset", name])
    assert "the benchmark has this file in its retain set" in " ".join(shown.output.split())


def test_a_file_of_the_forget_set_is_read_as_before(tmp_path: Path) -> None:
    for name in ("forget_level1", "mine"):
        (tmp_path / f"{name}.json").write_text(json.dumps([ASKED]))
        found = load_facts(f"rwku:{tmp_path / name}.json", FactSet.FORGET)
        assert (found.facts[0].subject, found.remarks) == ("Marisol Tveit", ())
