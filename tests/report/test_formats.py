"""Every format against its own schema, and all of them against each other: no two say different things."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pandas as pd
import pytest
import xmlschema
import yaml
from huggingface_hub import ModelCard
from junitparser import JUnitXml

from tests.golden import sample
from tests.golden.regenerate import screen
from tests.report.test_report_hostile import HOSTILE, poisoned
from tests.verdict.test_verdict import RECALL
from tests.verdict.test_waivers import decided, leaking, waiver
from unlearn_audit.api.plugins import WRITERS, available, names
from unlearn_audit.api.terms import Status
from unlearn_audit.api.writer import Needs, Writer
from unlearn_audit.evidence.observations import COLUMNS, PEOPLE, observation_frame
from unlearn_audit.evidence.records import ComparisonRecord, GroupRecord
from unlearn_audit.report import Material, render, write
from unlearn_audit.report.formats import sarif
from unlearn_audit.report.formats.rulings import rulings
from unlearn_audit.spec.waivers import Waiver
from unlearn_audit.testing.documents import sample_material
from unlearn_audit.verdict.result import Outcome, Result

SCHEMAS = Path(__file__).parent / "schemas"
VARIANTS = sorted(sample.ALL)
HARD = {kind: HOSTILE[kind] for kind in ("ansi", "nul", "newline", "script", "right to left", "empty", "long", "wide")}


def changed(result: Result, **updates) -> Result:
    return result.model_copy(update={"verdict": result.verdict.model_copy(update=updates)})


def with_status(result: Result, status: Status, *, gates: bool) -> Result:
    """The result with the first finding that gates (or not) in this status."""
    found = list(result.verdict.findings)
    place = next(number for number, finding in enumerate(found) if finding.gates is gates)
    found[place] = found[place].model_copy(update={"status": status})
    return changed(result, findings=tuple(found))


def compared(status: Status | None, *, gates: bool, error: str | None = None) -> ComparisonRecord:
    reading = GroupRecord(measure="auc", variant="", between=("unlearned", "original"), estimate=0.9, status=status)
    return ComparisonRecord(
        name="traces", access="prompts", paper="", gates=gates, readings=() if error else (reading,), error=error
    )


def waived(*waivers: Waiver) -> Result:
    """A leak, and what somebody says to it."""
    verdict = decided(leaking(), *waivers)
    changes = {"verdict": verdict, "outcome": verdict.outcome, "exit_code": verdict.outcome.exit_code}
    return sample.passed().model_copy(update=changes)


RESULTS = {
    **{name: build() for name, build in sample.ALL.items()},
    "advisory failure": with_status(sample.passed(), Status.FAILED, gates=False),
    "advisory error": with_status(sample.passed(), Status.ERROR, gates=False),
    "advisory comparison": changed(sample.passed(), comparisons=(compared(Status.FAILED, gates=False),)),
    "no power, none asked for": with_status(sample.passed(), Status.NO_POWER, gates=True),
    "deciding comparison": changed(sample.failed(), comparisons=(compared(Status.FAILED, gates=True),)),
    "waived": waived(waiver()),
    "expired": waived(waiver(expires="2026-01-01")),
    "lost comparison": changed(sample.error(), comparisons=(compared(None, gates=True, error="crashed"),)),
}


@pytest.fixture(scope="module")
def jenkins() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(SCHEMAS / "junit-10.xsd")


@pytest.fixture(scope="module")
def observations() -> pd.DataFrame:
    base = {"dose": "none", "dose_value": None, "probe": "recall", "measure": "hit", "variant": "question"}
    rows = [
        {**base, "fact_id": "f1", "score": 1.0, "twin_score": 0.25, "placebo_score": None, "missing": None},
        {**base, "fact_id": "f2", "score": None, "twin_score": None, "placebo_score": None, "missing": "cut off"},
    ]
    frame = observation_frame(rows).assign(role="unlearned", model="m", attack="as-is", seed=0, sham=False)
    return frame.assign(subject=["subject-1", "subject-2"], relation=["born_in", None])


def junit(result: Result) -> JUnitXml:
    return JUnitXml.fromstring(render(result, "junit").encode())


def alerts(result: Result) -> list[dict]:
    return json.loads(render(result, "sarif"))["runs"][0]["results"]


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_screen_exit_code_json_junit_and_sarif_say_the_same(name: str) -> None:
    result = RESULTS[name]
    outcome = result.outcome
    assert json.loads(render(result, "json"))["exit_code"] == outcome.exit_code == result.exit_code
    assert screen(result).splitlines()[-1].startswith(f"{outcome.value} (exit code {outcome.exit_code}).")

    suites = list(junit(result))
    failures, errors = sum(each.failures for each in suites), sum(each.errors for each in suites)
    assert sum(each.skipped for each in suites) == 0
    assert (outcome in (Outcome.PASS, Outcome.WAIVED)) is (failures == errors == 0)
    assert (outcome is Outcome.FAIL) is (failures > 0)
    assert [each.value for suite in suites for each in suite.properties() if each.name == "outcome"] == [outcome.value]

    run = json.loads(render(result, "sarif"))["runs"][0]
    assert run["invocations"][0]["exitCode"] == outcome.exit_code
    levels = {each["level"] for each in run["results"]}
    assert (outcome in (Outcome.PASS, Outcome.WAIVED)) is (levels <= {"note"})
    assert (outcome is Outcome.INCONCLUSIVE) is (levels - {"note"} == {"warning"})
    whole = [each for each in run["results"] if each["ruleId"] == "verdict"]
    wanted = {Outcome.PASS: [], Outcome.WAIVED: [], Outcome.INCONCLUSIVE: ["warning"]}.get(outcome, ["error"])
    assert [each["level"] for each in whole] == wanted


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_what_does_not_count_is_shown_and_fails_nothing(name: str) -> None:
    result = RESULTS[name]
    idle = [each for each in rulings(result) if not each.gates]
    suite = next((each for each in junit(result) if each.name.endswith("advisory")), None)
    assert [case.name for case in suite or ()] == [each.id for each in idle]
    if suite is not None:
        assert suite.failures == suite.errors == suite.skipped == 0
        said = suite._elem.findtext("system-out")
        assert all(f"{each.id}: {each.status.value}:" in said for each in idle)
    noted = {each["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for each in alerts(result)}
    assert {each.id for each in idle if each.status is not Status.PASSED} <= noted


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_every_finding_is_one_case_of_one_suite(name: str) -> None:
    result = RESULTS[name]
    cases = [case.name for suite in junit(result) for case in suite]
    assert sorted(cases) == sorted(each.id for each in rulings(result))
    assert len(cases) == len(set(cases))
    assert {finding.id for finding in result.verdict.findings} < set(cases)


def all_results() -> list:
    hostile = [pytest.param(poisoned(text), id=f"hostile, {kind}") for kind, text in HARD.items()]
    return [*(pytest.param(result, id=name) for name, result in RESULTS.items()), *hostile]


@pytest.mark.parametrize("result", all_results())
def test_sarif_keeps_to_the_official_schema_and_places_every_alert(result: Result) -> None:
    log = json.loads(render(result, "sarif"))
    schema = json.loads((SCHEMAS / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(log)
    whole = render(result, "json").splitlines()
    rules = [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    for each in log["runs"][0]["results"]:
        assert rules[each["ruleIndex"]] == each["ruleId"]
        place = each["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "result.json"
        assert whole[place["region"]["startLine"] - 1].strip().startswith(('"', "{"))
        assert each["message"]["text"].strip()
        assert not re.search(r"[\[\]{}]", each["message"]["text"])


def test_a_waiver_stands_beside_what_it_is_for_and_an_expired_one_says_so() -> None:
    assert RESULTS["waived"].outcome is Outcome.WAIVED
    assert RESULTS["expired"].outcome is Outcome.FAIL
    by_id = {each.id: each for each in rulings(RESULTS["waived"])}
    assert by_id[RECALL].status is Status.FAILED and not by_id[RECALL].gates
    assert "waived by A. Owner until 2026-12-31" in by_id[RECALL].reason
    expired = next(each for each in rulings(RESULTS["expired"]) if each.kind == "waivers")
    assert "expired on 2026-01-01" in expired.reason
    assert "expired on 2026-01-01" in render(RESULTS["expired"], "junit")


def test_an_alerts_line_is_that_of_its_finding() -> None:
    result = RESULTS["deciding comparison"]
    lines = render(result, "json").splitlines()
    for place, finding in enumerate(result.verdict.findings):
        at = sarif.line_of(lines, "findings", place) - 1
        end = next(number for number in range(at, len(lines)) if lines[number].startswith("      }"))
        assert f'        "id": {json.dumps(finding.id)},' in lines[at:end]
    assert lines[sarif.line_of(lines, "utility", 0) - 1] == '    "utility": {'
    assert lines[sarif.line_of(lines, "comparisons", 0) - 2] == '    "comparisons": ['


def test_the_same_leak_in_the_next_checkpoint_is_the_same_alert() -> None:
    first = sample.failed()
    models = tuple(each.model_copy(update={"digest": "other"}) for each in first.models)
    second = with_status(first.model_copy(update={"models": models}), Status.FAILED, gates=True)

    def prints(result: Result) -> set[str]:
        return {each["partialFingerprints"][sarif.FINGERPRINT] for each in alerts(result)}

    assert len(prints(first)) == len(alerts(first))
    assert prints(first) < prints(second)


@pytest.mark.parametrize("result", all_results())
def test_junit_keeps_to_jenkins_schema_and_to_ants_order(result: Result, jenkins) -> None:
    text = render(result, "junit")
    assert text.isascii() and text.replace("\n", "").isprintable()
    jenkins.validate(io.BytesIO(text.encode()))
    root = ElementTree.fromstring(text)
    assert not root.attrib
    for suite in root:  # what Ant's schema asks for, and Jenkins' leaves free
        tags = [child.tag for child in suite]
        assert tags == ["properties", *["testcase"] * (len(tags) - 3), "system-out", "system-err"]
        assert {"name", "id", "package", "hostname", "tests", "failures", "errors", "time"} <= set(suite.attrib)
        assert all(each.get("name") and each.get("value") is not None for each in suite[0])
        for case in suite.iter("testcase"):
            assert {"name", "classname", "time"} <= set(case.attrib) and len(case) <= 1
            assert case.get("name") and case.get("classname")
            assert {child.tag for child in case} <= {"failure", "error"}


def test_junit_carries_the_digests_and_the_bounds() -> None:
    result = sample.failed()
    told = {each.name: each.value for suite in junit(result) for each in suite.properties()}
    assert told["policy_digest"] == result.policy_digest and told["evidence_digest"] == result.evidence_digest
    assert result.models[1].digest in told.values()
    for finding in result.verdict.findings:
        if finding.bound is not None:
            assert float(told[f"{finding.id} bound"]) == finding.bound


@pytest.mark.parametrize("result", all_results())
def test_the_record_keeps_to_the_schema_of_every_eval_ever(result: Result) -> None:
    record = json.loads(render(result, "every-eval-ever"))
    schema = json.loads((SCHEMAS / "every-eval-ever-0.3.0.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(record)
    assert record["schema_version"] == schema["version"] == "0.3.0"
    scores = [each["score_details"]["score"] for each in record["evaluation_results"]]
    assert scores == [finding.worst.unlearned for finding in result.verdict.findings if finding.worst]


def test_a_finding_without_evidence_has_no_score() -> None:
    record = json.loads(render(sample.error(), "every-eval-ever"))
    lost = next(finding.id for finding in sample.error().verdict.findings if finding.worst is None)
    assert lost not in {each["evaluation_result_id"] for each in record["evaluation_results"]}
    assert lost in record["source_metadata"]["additional_details"]["findings_without_evidence"]


@pytest.mark.parametrize("result", all_results())
def test_the_model_card_is_read_back_by_the_hubs_own_class(result: Result) -> None:
    text = render(result, "model-card")
    card = ModelCard(text, ignore_metadata_errors=False)
    gating = [finding for finding in result.verdict.findings if finding.gates and finding.worst]
    assert [each.metric_value for each in card.data.eval_results] == [each.worst.unlearned for each in gating]
    assert [each.metric_args["status"] for each in card.data.eval_results] == [each.status.value for each in gating]
    assert f"**{result.outcome.value}:**" in card.text
    assert set(yaml.safe_load(text.split("---\n")[1])) == {"tags", "model-index"}


def test_a_model_card_of_nothing_measured_has_no_index() -> None:
    text = render(changed(sample.error(), findings=()), "model-card")
    assert "model-index" not in text and "**ERROR:**" in text


@pytest.mark.ecosystem
@pytest.mark.filterwarnings("default")  # of the library's own affairs
@pytest.mark.parametrize("result", all_results())
def test_the_log_is_read_by_inspect(result: Result, tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log

    (path,) = write(result, tmp_path, ["inspect"])
    log = read_eval_log(str(path))
    measured = [finding for finding in result.verdict.findings if finding.worst]
    assert log.status == "success" and log.eval.metadata["outcome"] == result.outcome.value
    assert [one.metrics["shown"].value for one in log.results.scores] == [one.worst.unlearned for one in measured]
    assert [one.metadata["status"] for one in log.results.scores] == [one.status.value for one in measured]


@pytest.mark.parametrize("result", all_results())
def test_a_log_for_inspect_has_a_score_per_finding_with_evidence(result: Result) -> None:
    log = json.loads(render(result, "inspect"))
    measured = [finding for finding in result.verdict.findings if finding.worst]
    assert log["version"] == 2 and log["eval"]["metadata"]["exit_code"] == result.exit_code
    assert [one["metrics"]["shown"]["value"] for one in log["results"]["scores"]] == [
        one.worst.unlearned for one in measured
    ]


def test_the_hub_reads_the_published_figures_as_its_own_class() -> None:
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = yaml.safe_load(render(sample_material(), "eval-results"))
    figures = [one for one in sample_material().published().models[0].figures if one.value is not None]
    assert [one["value"] for one in entries] == [one.value for one in figures]
    assert {one["dataset"]["id"] for one in entries} == {"locuslab/TOFU"}
    again = [
        EvalResultEntry(
            dataset_id=one["dataset"]["id"],
            task_id=one["dataset"]["task_id"],
            value=one["value"],
            date=one.get("date"),
            notes=one["notes"],
        )
        for one in entries
    ]
    assert eval_result_entries_to_yaml(again) == entries


def test_csv_and_parquet_hold_every_observation(observations: pd.DataFrame) -> None:
    material = Material(result=sample.passed(), observations=lambda: observations)
    text, binary = render(material, "csv"), render(material, "parquet")
    kept = pd.read_parquet(io.BytesIO(binary))
    assert list(kept.columns) == ["role", "model", "attack", "seed", "sham", *COLUMNS, *PEOPLE]
    columns = [*COLUMNS, *PEOPLE]
    pd.testing.assert_frame_equal(kept[columns], observations[columns], check_dtype=False)
    shown = pd.read_csv(io.StringIO(text), keep_default_na=False)
    assert list(shown["fact_id"]) == ["f1", "f2"]
    assert list(shown["score"]) == ["1.0", ""]  # missing is empty, and never 0
    assert list(shown["missing"]) == ["", "cut off"]
    assert list(shown["relation"]) == ["born_in", ""]


def test_no_observations_at_hand_is_said(observations: pd.DataFrame) -> None:
    with pytest.raises(Exception, match="give the run directory"):
        render(sample.passed(), "csv")


def test_every_writer_says_what_it_is_and_writes_the_same_twice(observations: pd.DataFrame, tmp_path: Path) -> None:
    found = available(WRITERS, Writer)
    assert list(found) == names(WRITERS)
    files = []
    for name, entry in found.items():
        assert entry.broken is None and entry.plugin is not None
        writer = entry.plugin()
        if name == "pdf":  # needs a browser: with those of the page
            continue
        assert writer.name == name and writer.summary.endswith(".") and "." in writer.file_name
        material = replace(sample_material(), result=sample.failed(), observations=lambda: observations)
        document = writer.render(material)
        assert isinstance(document, bytes) is writer.binary
        assert document == writer.render(material)
        files.append(writer.file_name)
        if writer.needs is Needs.RESULT:
            (path,) = write(sample.failed(), tmp_path, [name])
            assert path.read_text(encoding="utf-8") == document
            assert path.stat().st_mode & 0o077 == 0
    assert len(set(files)) == len(files)
