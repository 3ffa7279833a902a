"""The command line: exit codes, one message for what is wrong, nothing but machine output on stdout."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from tests.api.test_plugins import entry
from unlearn_audit import __version__
from unlearn_audit.cli import app as cli
from unlearn_audit.errors import AuditError
from unlearn_audit.spec.policy import Preset, Release
from unlearn_audit.spec.spec import load_policy


@pytest.fixture
def invoke(monkeypatch, capsys):
    from unlearn_audit.audit import prospects
    from unlearn_audit.plan.forecasting.forecast import Forecast

    def foretold(live):  # no test here is about times, which are measured for seconds: `tests/plan/test_forecast.py`
        return Forecast(attacks=dict.fromkeys(live.plan.attacks, 1.0), probes=dict.fromkeys(live.plan.probes, 1.0))

    monkeypatch.setattr(prospects, "forecast", foretold)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["unlearn-audit", *map(str, args)])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as left:
            cli.main()
            raise SystemExit(0)
        captured = capsys.readouterr()
        return left.value.code or 0, captured.out, captured.err

    return call


def facts(count, prefix, subjects=None):
    rows = [
        {
            "id": f"{prefix}{place}",
            "subject": f"{prefix} person {place % (subjects or count)}",
            "question": f"Where was {prefix} person {place} born?",
            "answer": f"Town{place}.",
        }
        for place in range(count)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def world(tmp_path, saved_model):
    """A request that is in order: each test breaks one thing."""
    (tmp_path / "forget.jsonl").write_text(facts(40, "f"))
    (tmp_path / "retain.jsonl").write_text(facts(40, "r"))
    shutil.copytree(saved_model, tmp_path / "model")
    shutil.copytree(saved_model, tmp_path / "control")
    weights = (tmp_path / "control" / "model.safetensors").read_bytes()
    (tmp_path / "control" / "model.safetensors").write_bytes(weights[:-4] + b"\x00\x00\x80\x3f")
    return tmp_path


def request(world, **changes):
    flags = {
        "--original": world / "model",
        "--retrained": world / "control",
        "--forget": world / "forget.jsonl",
        "--retain": world / "retain.jsonl",
        "--profile": "quick",
        "--attacks": "as-is,quantization,relearning",
        **changes,
    }
    return [world / "model", *(part for flag, value in flags.items() if value for part in (flag, value))]


def truncate(world):
    path = world / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def wrong_column(world):
    with (world / "forget.jsonl").open("a") as file:
        file.write('{"id": "x", "subject": "s", "question": "q", "anwser": "a"}\n')


def duplicate(world):
    with (world / "forget.jsonl").open("a") as file:
        file.write((world / "forget.jsonl").read_text().splitlines()[0] + "\n")


def overlap(world):
    with (world / "retain.jsonl").open("a") as file:
        file.write((world / "forget.jsonl").read_text().splitlines()[3] + "\n")


def same_control(world):
    shutil.copy(world / "model" / "model.safetensors", world / "control" / "model.safetensors")


BAD = {
    "missing checkpoint": (lambda w: shutil.rmtree(w / "model"), {}, ["model", "no such"]),
    "truncated weights": (truncate, {}, ["model.safetensors", "fetch it again"]),
    "wrong column": (wrong_column, {}, ["forget.jsonl, line 41", "'anwser'", "did you mean 'answer'"]),
    "duplicated id": (duplicate, {}, ["forget.jsonl, line 41", "'f0'", "line 1"]),
    "empty set": (lambda w: (w / "forget.jsonl").write_text(""), {}, ["forget.jsonl", "expected at least one fact"]),
    "missing facts": (
        lambda w: (w / "retain.jsonl").unlink(),
        {},
        ["retain.jsonl", "expected a file of facts, found none"],
    ),
    "overlap": (overlap, {}, ["retain.jsonl", "forget.jsonl", "must not overlap"]),
    "control is the checkpoint": (same_control, {}, ["control", "same weights"]),
    "unknown attack": (lambda w: None, {"--attacks": "relerning"}, ["relerning", "did you mean 'relearning'"]),
    "unknown probe": (lambda w: None, {"--probes": "recal"}, ["recal", "did you mean 'recall'"]),
    "unknown release": (lambda w: None, {"--release": "friends"}, ["release", "open-weights"]),
}


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("what", sorted(BAD))
def test_bad_input_is_one_message_and_exit_2(world, invoke, what, command):
    spoil, changes, words = BAD[what]
    spoil(world)
    code, out, err = invoke(
        command, *request(world, **changes), *(["--out", world / "out"] if command == "run" else [])
    )
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert not (world / "out").exists()


def test_a_spec_in_the_place_of_a_checkpoint_is_said_to_be_one(tmp_path, invoke):
    (tmp_path / "audit.yaml").write_text("checkpoint: x\n")
    code, _, err = invoke("run", tmp_path / "audit.yaml")
    assert code == 2 and f"give a spec as --spec {tmp_path / 'audit.yaml'}" in err.replace("\n", "")


def test_an_unknown_key_in_a_spec_or_policy_is_named_with_its_line(world, invoke):
    (world / "audit.yaml").write_text("checkpoint: model\nforget: forget.jsonl\nreatin: retain.jsonl\n")
    code, _, err = invoke("plan", "--spec", world / "audit.yaml")
    assert code == 2
    assert "audit.yaml, line 3" in err
    assert "did you mean 'retain'" in err
    (world / "policy.yaml").write_text("margn: 0.2\n")
    code, _, err = invoke("plan", *request(world), "--policy", world / "policy.yaml")
    assert code == 2
    assert "policy.yaml, line 1" in err


def test_a_policy_that_cannot_be_met_is_said_before_the_run(world, invoke):
    (world / "policy.yaml").write_text("margin: 0.01\npopulation: sample\n")
    code, out, _ = invoke("plan", *request(world), "--policy", world / "policy.yaml", "--json")
    assert code == 3
    plan = json.loads(out)
    assert "302 subjects" in plan["obstacle"]  # ln(20) / ln(1.01) = 301.1
    code, out, _ = invoke("plan", *request(world), "--json")
    assert code == 0
    assert json.loads(out)["obstacle"] is None


def test_a_way_of_asking_that_few_subjects_have_is_said_before_the_run(world, invoke):
    (world / "policy.yaml").write_text("population: sample\n")
    rows = [json.loads(line) for line in (world / "forget.jsonl").read_text().splitlines()]
    told = [{**row, "paraphrases": ["In which town?"]} if place < 20 else row for place, row in enumerate(rows)]
    (world / "forget.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    code, out, _ = invoke("plan", *request(world), "--policy", world / "policy.yaml", "--json")
    assert code == 3
    assert "only 20 subjects have 1 paraphrases or more" in json.loads(out)["obstacle"]
    assert "needs 32 subjects" in json.loads(out)["obstacle"]
    everyone = [{**row, "paraphrases": ["In which town?"]} for row in rows]
    (world / "forget.jsonl").write_text("".join(json.dumps(row) + "\n" for row in everyone))
    assert invoke("plan", *request(world), "--policy", world / "policy.yaml", "--json")[0] == 0


@pytest.mark.parametrize(("named", "code"), [(True, 0), (False, 3)])
def test_without_a_retrained_model_placebo_facts_may_stand_in(world, invoke, named, code):
    (world / "policy.yaml").write_text("population: sample\n")
    rows = [json.loads(line) for line in (world / "forget.jsonl").read_text().splitlines()]
    people = [
        {**row, "subject": f"Ada{n} Mann{n}", "question": f"Where was Ada{n} Mann{n} born?"}
        for n, row in enumerate(rows)
    ]
    asked = people if named else [{**row, "question": "Where was this person born?"} for row in people]
    (world / "forget.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    found, out, _ = invoke(
        "plan", *request(world, **{"--retrained": None}), "--policy", world / "policy.yaml", "--json"
    )
    assert found == code
    assert named is (json.loads(out)["obstacle"] is None)
    assert invoke("plan", *request(world, **{"--retrained": None}), "--json")[0] == 0  # a list passes by its count


def test_plants_are_planned_where_there_is_an_original(world, invoke):
    code, out, _ = invoke("plan", *request(world), "--plant", "--json")
    assert code == 0
    planted = {name for job in json.loads(out)["jobs"] if (name := job["model"]["name"]).endswith(" plant")}
    assert planted == {
        f"{name} plant"
        for name in ("refusal", "unlikelihood", *(f"{bits} rounding" for bits in ("nf4", "int8", "q4_0")))
    }
    code, _, err = invoke("plan", *request(world, **{"--original": None}), "--plant")
    assert code == 2
    assert "--plant makes positive controls from the original; give --original" in err


def test_the_plan_fits_80_columns(world, invoke):
    code, out, _ = invoke("plan", *request(world))
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "skipped" in out


def test_what_is_skipped_for_one_reason_is_one_line(world, invoke):
    _, out, _ = invoke("plan", *request(world))
    told = " ".join(out.split())
    why = "it is not in the profile quick, only in standard and deep; name it under `probes` to run it"
    assert told.count(why) == 1
    assert "skipped: forms, in-context, jailbreaks, lens" in told


def test_probes_that_could_decide_and_are_named_nowhere_are_advisory_aloud(world, invoke):
    probes = {"--probes": "recall,jailbreaks,utility"}
    _, out, _ = invoke("plan", *request(world, **probes))
    assert "Advisory: jailbreaks could decide" in " ".join(out.split())
    assert "no PASS needs them, and a leak that they prove is a FAIL" in " ".join(out.split())
    (world / "policy.yaml").write_text("gate: [recall, jailbreaks]\n")
    _, out, _ = invoke("plan", *request(world, **probes), "--policy", world / "policy.yaml")
    assert "Advisory" not in out
    rules = [{"id": "asked", "findings": "*/jailbreaks"}]
    (world / "policy.yaml").write_text(json.dumps({"rules": rules}))
    _, out, _ = invoke("plan", *request(world, **probes), "--policy", world / "policy.yaml")
    assert "Advisory" not in out


def test_init_writes_the_strict_policy_as_it_is_and_names_both(tmp_path, invoke):
    code, _, _ = invoke("init", tmp_path / "new", "--policy", "strict")
    assert code == 0
    written = load_policy(tmp_path / "new" / "policy.yaml")
    assert written == Preset.STRICT.policy
    assert (written.margin, written.alpha_pass, written.worst_person) == (0.05, 0.01, "fail")
    assert "quantization@gptq-4bit" in written.required[Release.API]
    code, _, err = invoke("init", tmp_path / "other", "--policy", "strickt")
    assert code == 2
    assert "unknown policy 'strickt'; did you mean 'strict'? (known: default, strict)" in " ".join(err.split())


def test_list_says_which_probes_decide(invoke):
    _, out, _ = invoke("list", "probes", "--json")
    listed = {row["name"]: row for row in json.loads(out)}
    assert {name for name, row in listed.items() if row["decides"]} == {
        "recall",
        "forced-choice",
        "extraction-strength",
        "perturbed",
        "utility",
    }
    assert listed["forms"]["can_decide"]
    _, out, _ = invoke("list", "probes")
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.split()}
    assert rows["recall"][2:4] == ["quick", "decides"]
    assert rows["forms"][2:4] == ["standard", "advisory"]


@pytest.mark.parametrize("kind", ["attacks", "probes", "comparisons", "writers", "presets"])
def test_list_and_doctor_say_whose_a_plug_in_is(invoke, monkeypatch, kind):
    from unlearn_audit.api import plugins
    from unlearn_audit.cli.commands.list_plugins import KINDS

    group, _ = KINDS[kind]
    found = list(plugins.entry_points(group=group))
    value = found[0].value
    third = [entry("borrowed", value, "third-party", group), entry("shaky", "no_such_module:X", "third-party", group)]
    real = plugins.entry_points
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [*real(group=group), *(third if group == third[0].group else [])]
    )
    _, out, _ = invoke("list", kind, "--json")
    listed = {row["name"]: row for row in json.loads(out)}
    assert listed["borrowed"]["distribution"] == "third-party"
    assert listed[found[0].name]["distribution"] == "unlearn-audit"
    _, out, _ = invoke("list", kind)
    assert "(from third-party)" in " ".join(out.split())
    assert "(from unlearn-audit)" not in out
    code, out, _ = invoke("doctor")
    assert code == 4
    assert "borrowed (from third-party)" in out
    assert "BROKEN shaky of third-party: ModuleNotFoundError" in out
    assert f"{kind}: " in out


def test_an_unexpected_error_is_exit_4_without_a_traceback(invoke, monkeypatch):
    def explode(*_, **__):
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr("unlearn_audit.cli.commands.list_plugins.show_plugins", explode)
    code, _, err = invoke("list", "attacks")
    assert code == 4
    assert "ZeroDivisionError: deep inside" in err
    assert "Traceback" not in err
    code, _, err = invoke("--debug", "list", "attacks")
    assert code == 4
    assert "Traceback" in err


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (AuditError("because"), 2)])
def test_every_way_out_has_its_exit_code(invoke, monkeypatch, raised, code):
    def leave(*_, **__):
        raise raised

    monkeypatch.setattr("unlearn_audit.cli.commands.list_plugins.show_plugins", leave)
    assert invoke("list", "attacks")[0] == code


def test_schemas_are_printed(invoke):
    for document in ("result", "spec", "policy", "waivers"):
        code, out, _ = invoke("schema", document)
        assert code == 0
        assert json.loads(out)["type"] == "object"


def test_gate_and_report_say_what_is_no_run(tmp_path, invoke):
    for args in (["gate", tmp_path], ["report", tmp_path, "-f", "md"]):
        code, out, err = invoke(*args)
        assert code == 2
        assert out == ""
        assert str(tmp_path) in err


def test_doctor_loads_a_checkpoint_without_a_library_talking(invoke, saved_model, monkeypatch):
    from transformers.utils import logging

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    verbosity = logging.get_verbosity()
    logging.enable_progress_bar()  # as in a fresh process, whatever ran before in this one
    logging.set_verbosity_info()
    try:
        code, out, err = invoke("doctor", saved_model)
    finally:
        logging.set_verbosity(verbosity)
    assert code == 0
    assert f"{saved_model}: LlamaForCausalLM" in out
    assert err == ""


def test_help_names_no_exit_code_that_there_is_not(invoke):
    code, out, _ = invoke("--help")
    assert code == 0
    text = " ".join(out.split())
    assert all(word in text for word in ("0 PASS", "1 FAIL", "2 usage", "3 INCONCLUSIVE", "4 ERROR", "130 interrupted"))
    assert "5 integrity" in text


def test_the_version_stands_behind_the_name(invoke):
    assert invoke("--version") == (0, f"unlearn-audit {__version__}\n", "")


def test_a_missing_extra_is_one_line_before_anything_is_read(invoke, monkeypatch):
    monkeypatch.setattr("unlearn_audit.errors.find_spec", lambda name: None if name == "peft" else name)
    for verb in ("run", "plan"):
        code, out, err = invoke(verb, "no-such-checkpoint", "--spec", "no-such.yaml")
        assert (code, out) == (2, "")
        assert err == f"error: `{verb}` needs peft, which is not installed: pip install 'unlearn-audit[run]'\n"
