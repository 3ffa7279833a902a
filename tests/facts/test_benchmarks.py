"""A benchmark's own folder becomes its fact sets, in whatever of its published forms the files are."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.plugins import PRESETS, named, names
from unlearn_audit.cli.app import app
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.benchmarks import benchmark_rows
from unlearn_audit.facts.load import Facts, check_disjoint, load_facts, read_facts
from unlearn_audit.spec.benchmarks import sets_of
from unlearn_audit.spec.reading import Reading
from unlearn_audit.spec.sources import benchmark_source, parse_source
from unlearn_audit.spec.spec import load_spec

AS_TEXT = {("dusk", "holdout"), *(("faithun", part) for part in ("forget_split", "kept", "test"))}


def publish(folder: Path, preset: FactPreset, config: str, place: int = 0) -> None:
    """Writes the example of each part where the benchmark has it: a text as .txt, one object alone, else a list."""
    for part in preset.parts(config):
        path = folder / part.files[min(place, len(part.files) - 1)].replace("*", "7")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = preset.example_parts[part.name]
        if (preset.name, part.name) in AS_TEXT:
            path.with_name(f"{path.name}.txt").write_text(str(rows[0]["text"]))
        else:
            content = rows[0] if len(rows) == 1 and not {"text", "question"} & rows[0].keys() else rows
            path.with_name(f"{path.name}.json").write_text(json.dumps(content, indent=1))


def read(folder: Path, benchmark: str) -> dict[str, Facts]:
    source = benchmark_source(benchmark, str(folder))
    found = {name: load_facts(source, FactSet(name)) for name in sets_of(benchmark, str(folder))}
    check_disjoint(found["forget"], [one for name, one in found.items() if name != "forget"])
    return found


@pytest.mark.parametrize("name", names(PRESETS))
def test_each_benchmark_is_read_from_its_folder(tmp_path, name):
    preset = named(PRESETS, FactPreset, name, "presets")()
    for number, config in enumerate([*preset.configs, *(["Marisol_Tveit"] if preset.open_config else [])]):
        folder = tmp_path / str(number)
        publish(folder, preset, config, number)
        found = read(folder, f"{name}/{config}" if config else name)
        assert set(found) == {part.set.value for part in preset.parts(config) if part.set}
        assert all(one.facts for one in found.values())


def test_tofu_takes_what_the_perturbed_files_have_and_what_it_asks_besides(tmp_path):
    publish(tmp_path, named(PRESETS, FactPreset, "tofu", "presets")(), "forget10")
    found = read(tmp_path, "tofu/forget10")
    assert {fact.subject for fact in found["forget"].facts} == {"Ines Valdrada"}
    retain = found["retain"].facts
    assert [fact.id.rsplit("-", 1)[0] for fact in retain[-2:]] == ["tofu-real-authors", "tofu-world-facts"]
    assert retain[-1].wrong_answers == ("Alta",)
    assert [fact.part for fact in retain[-3:]] == [None, "real authors", "world facts"]


def test_rwku_takes_one_person_out_of_the_files_for_all(tmp_path):
    row = {"query": "Who?", "answer": "A", "level": "2", "subject": "Hanne Osk"}
    rows = [row, {**row, "query": "Who else?", "subject": "Jon Weir"}]
    for level in (1, 2):
        (tmp_path / f"forget_level{level}.json").write_text(json.dumps(rows))
        (tmp_path / f"neighbor_level{level}.json").write_text(json.dumps([{**row, "query": f"Near {level}?"}]))
    found = read(tmp_path, "rwku/hanne_osk")
    assert [(fact.question, fact.subject) for fact in found["forget"].facts] == [("Who?", "Hanne Osk")]
    assert {fact.subject for fact in found["retain"].facts} == {"neighbours of Hanne Osk"}
    assert {fact.part for fact in found["retain"].facts} == {"neighbours"}
    assert {fact.part for fact in found["forget"].facts} == {None}
    with pytest.raises(SpecError, match="expected rows about 'Nobody'"):
        read(tmp_path, "rwku/Nobody")


def test_the_authors_measures_read_one_persons_rows_too(tmp_path):
    preset = named(PRESETS, FactPreset, "rwku", "test")()
    publish(tmp_path, preset, "")
    rows = preset.example_parts["mia_forget"]
    others = [{**rows[0], "subject": "Hanne Osk"}, {"text": "About nobody."}]
    (tmp_path / "All" / "forget_mia.json").write_text(json.dumps([*rows, *others]))
    found = benchmark_rows(parse_source(benchmark_source("rwku/marisol_tveit", str(tmp_path))), download=False)
    assert [row["text"] for row in found["mia_forget"]] == [rows[0]["text"], "About nobody."]
    assert len(found["forget_level1"]) == 1


def test_dusk_keeps_shared_questions_as_a_part_of_their_own(tmp_path):
    publish(tmp_path, named(PRESETS, FactPreset, "dusk", "presets")(), "")
    kept = read(tmp_path, "dusk")["retain"].facts
    assert {fact.id.startswith("dusk-shared"): fact.part for fact in kept} == {True: "shared", False: None}


@pytest.mark.parametrize("part", ["Hanne Osk", "neighbours of Hanne", "a" * 41, "one two three four five"])
def test_a_part_that_may_name_somebody_is_refused(tmp_path, part):
    file = tmp_path / "retain.jsonl"
    row = {"id": "1", "subject": "Hanne", "question": "Who?", "answer": "She", "part": part}
    file.write_text(json.dumps(row))
    with pytest.raises(SpecError, match="expected `part` to be a lower-case word or two"):
        load_facts(str(file), FactSet.RETAIN)
    with pytest.raises(SpecError, match="expected `part` to be a lower-case word or two"):
        list(read_facts(str(file), FactSet.RETAIN, Reading()))  # as `facts check` reads it
    file.write_text(json.dumps({**row, "part": "same answer"}))
    assert load_facts(str(file), FactSet.RETAIN).facts[0].part == "same answer"


def test_mquake_has_the_hops_behind_an_edited_fact_and_keeps_the_others(tmp_path):
    preset = named(PRESETS, FactPreset, "mquake", "presets")()
    publish(tmp_path, preset, "")
    found = read(tmp_path, "mquake")
    (edited,) = found["forget"].facts
    assert (edited.answer, edited.wrong_answers, edited.relation) == ("Marisol Tveit", ("Hanne Osk",), "P50")
    assert [hop.answer for hop in edited.hops] == ["Tromso"]
    (kept,) = found["retain"].facts
    assert (kept.subject, kept.answer, kept.aliases) == ("Marisol Tveit", "Tromso", ("Tromsø",))


def test_faithuns_clusters_are_counted_over_all_persons(tmp_path):
    publish(tmp_path, named(PRESETS, FactPreset, "faithun", "presets")(), "")
    found = read(tmp_path, "faithun")
    (fact,) = found["forget"].facts
    assert (fact.subject, fact.paraphrases) == ("Q0", ("What is Marisol Tveit's birthplace?",))
    assert (fact.wrong_answers, fact.hops[0].answer) == (("Bergen", "Oslo"), "Norway")
    assert found["retain"].facts[0].subject == "Q1 (kept)"
    (tmp_path / "dataset" / "splits" / "forget_set_split.txt").write_text("2\n")
    with pytest.raises(SpecError, match="from 0 to 1"):
        read(tmp_path, "faithun")


def test_shards_of_parquet_are_one_part(tmp_path):
    for number in (0, 1):
        rows = [{"question": f"Which port is {number}?", "choices": ["a", f"b{number}"], "answer": 1}]
        pd.DataFrame(rows).to_parquet(tmp_path / f"wmdp-cyber-0000{number}-of-00002.parquet")
    found = read(tmp_path, "wmdp/cyber")
    assert [fact.answer for fact in found["forget"].facts] == ["b0", "b1"]
    assert found["forget"].facts[0].wrong_answers == ("a",)


@pytest.mark.parametrize("place", ["train-00000-of-00001", "train/0000"])
def test_a_part_is_found_as_the_hub_names_it(tmp_path, place):
    preset = named(PRESETS, FactPreset, "tofu", "presets")()
    for part in preset.parts("forget01"):
        file = tmp_path / part.files[0] / f"{place}.parquet"
        file.parent.mkdir(parents=True)
        pd.DataFrame(preset.example_parts[part.name]).to_parquet(file)
    found = read(tmp_path, "tofu/forget01")
    assert {name: len(one.facts) for name, one in found.items()} == {"forget": 20, "retain": 22, "holdout": 20}


def test_a_part_may_be_a_folder_of_splits_or_written_in_another_case(tmp_path):
    datasets = pytest.importorskip("datasets")
    preset = named(PRESETS, FactPreset, "rwku", "presets")()
    for part in preset.parts(""):
        rows = datasets.Dataset.from_list([dict(row) for row in preset.example_parts[part.name]])
        datasets.DatasetDict({"test": rows}).save_to_disk(str(tmp_path / "saved" / part.name))
        (tmp_path / "upper").mkdir(exist_ok=True)
        (tmp_path / "upper" / f"{part.name.upper()}.JSONL").write_text(
            "".join(json.dumps(row) + "\n" for row in preset.example_parts[part.name])
        )
    expected = {"forget": 3, "retain": 2}
    for form in ("saved", "upper"):
        assert {name: len(one.facts) for name, one in read(tmp_path / form, "rwku").items()} == expected


def test_lists_in_the_cells_of_a_benchmarks_table_are_lists(tmp_path):
    wrong = ["It is 'A', of 1901.", 'It is "B".']
    rows = [{**row, "perturbed_answer": wrong} for row in named(PRESETS, FactPreset, "tofu", "presets").example]
    for number, cell in enumerate((str, json.dumps)):
        path = tmp_path / f"{number}.csv"
        pd.DataFrame([{**row, "perturbed_answer": cell(wrong)} for row in rows]).to_csv(path)
        assert {fact.wrong_answers for fact in load_facts(f"tofu:{path}", FactSet.FORGET).facts} == {tuple(wrong)}
    choices = [{"question": "Which?", "choices": ["Anlo", "Tarn"], "answer": 1}]
    pd.DataFrame(choices).to_csv(tmp_path / "wmdp-bio.csv", index=False)
    (fact,) = load_facts(benchmark_source("wmdp/bio", str(tmp_path)), FactSet.FORGET).facts
    assert (fact.answer, fact.wrong_answers) == ("Tarn", ("Anlo",))


@pytest.mark.parametrize(
    ("preset", "row"),
    [
        ("rwku", {"query": "When?", "answer": 1947, "level": 2, "subject": "Hanne Osk"}),
        ("lume", {"id": "aqa1", "input": "When?", "output": 1947}),
        ("muse", {"question": "When?", "answer": [1947, "MCMXLVII"]}),
        ("dusk", {"question": "When?", "answer": 1947}),
        ("blur", {"text": "When?", "answer": 1947}),
    ],
)
def test_a_number_is_an_answer_of_a_benchmark_too(tmp_path, preset, row):
    (tmp_path / "rows.json").write_text(json.dumps([row]))
    (fact,) = load_facts(f"{preset}:{tmp_path / 'rows.json'}", FactSet.FORGET).facts
    assert (fact.answer, fact.aliases) == ("1947", ("MCMXLVII",) if preset == "muse" else ())


def test_one_person_is_taken_out_of_a_single_file(tmp_path):
    row = {"query": "Who?", "answer": "A", "level": "2", "subject": "Hanne Osk"}
    path = tmp_path / "forget_level2.json"
    path.write_text(json.dumps([row, {**row, "query": "Who else?", "subject": "Jon Weir"}]))
    ran = CliRunner().invoke(app, ["facts", "check", str(path), "--preset", "rwku/hanne_osk", "--json"])
    assert json.loads(ran.output)["count"] == 1
    ran = CliRunner().invoke(app, ["facts", "check", str(path), "--preset", "RWKU"])
    assert "no preset named 'RWKU'" in str(ran.exception)


@pytest.mark.parametrize(
    ("benchmark", "says"),
    [
        ("tofu/forget11", "no benchmark 'tofu/forget11'; did you mean 'tofu/forget1"),
        ("tofu", "no benchmark 'tofu'"),
        ("tufo/forget10", "no preset named 'tufo' (known: "),
        ("tofu/forget10", "expected forget10_perturbed, forget10 as .jsonl, .json, .parquet or .csv below"),
    ],
)
def test_a_benchmark_that_is_not_there_is_named(tmp_path, benchmark, says):
    with pytest.raises(SpecError) as caught:
        read(tmp_path, benchmark)
    assert says in str(caught.value)


def test_without_a_folder_the_cache_is_asked_and_never_the_hub():
    with pytest.raises(
        SpecError,
        match=r"locuslab/TOFU:forget10_perturbed and locuslab/TOFU:forget10 are not in the local cache; .*--download",
    ):
        load_facts("tofu/forget10:", FactSet.FORGET)


def test_a_query_of_blur_needs_an_answer(tmp_path):
    (tmp_path / "rwku_forget.json").write_text(json.dumps([{"text": "Who wrote Salt Roads?"}]))
    with pytest.raises(SpecError, match="with its `answer`; add the answers"):
        load_facts(benchmark_source("blur/rwku", str(tmp_path)), FactSet.FORGET)


def test_a_spec_names_a_benchmark_and_may_replace_one_of_its_sets(tmp_path):
    publish(tmp_path / "data", named(PRESETS, FactPreset, "lume", "presets")(), "")
    (tmp_path / "audit.yaml").write_text("checkpoint: x\npreset: lume\ndata: data\nholdout: h.jsonl\n")
    spec = load_spec(tmp_path / "audit.yaml", {"retain": "mine.jsonl"})
    assert spec.forget == f"lume/:{tmp_path / 'data'}"
    assert (spec.retain, spec.holdout, spec.preset) == ("mine.jsonl", "h.jsonl", None)
    with pytest.raises(SpecError, match="name the benchmark with `preset`"):
        load_spec(None, {"checkpoint": "x", "forget": "f", "data": "data"})


def test_the_command_looks_at_all_sets_and_writes_them(tmp_path):
    publish(tmp_path / "lume", named(PRESETS, FactPreset, "lume", "presets")(), "")
    run = CliRunner().invoke
    told = json.loads(run(app, ["facts", "check", str(tmp_path / "lume"), "--preset", "lume", "--json"]).output)
    assert (told["count"], told["subjects"], told["sets"]["retain"]["count"]) == (2, 1, 1)
    out = str(tmp_path / "out")
    assert run(app, ["facts", "convert", str(tmp_path / "lume"), "--preset", "lume", "--out", out]).exit_code == 0
    written = load_facts(f"{out}/forget.jsonl", FactSet.FORGET)
    assert written.facts == load_facts(benchmark_source("lume", str(tmp_path / "lume")), FactSet.FORGET).facts
    again = run(app, ["facts", "convert", str(tmp_path / "lume"), "--preset", "lume", "--out", out])
    assert isinstance(again.exception, SpecError)
    assert "is there already" in str(again.exception)
