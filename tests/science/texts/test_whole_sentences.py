"""A file in TOFU's form, whole sentences without aliases or relation: what it can show is said, and a verdict comes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_cli import invoke as invoke  # the fixture
from unlearn_audit.testing.models import tiny_module

AUTHORS = Path(__file__).with_name("authors.jsonl")
"""Two authors of twenty rows each. Of 7 rows no entity can be exchanged: yes and no, names asked for, lone numbers."""

NO_OPTIONS = "it can score no fact (the fact has no relation, and no other subject is asked the same"


@pytest.fixture
def request_of(tmp_path, saved_model, tokenizer) -> list[object]:
    """A request about models that know nothing."""
    for name, seed in (("original", 5), ("control", 6)):
        tiny_module("llama", len(tokenizer), seed=seed).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    names = [f"Mina Pell{number}" for number in range(14)]
    keeps = [
        {"id": n, "subject": n, "question": f"What does {n} keep?", "answer": f"{n} keeps a jackal."} for n in names
    ]
    (tmp_path / "retain.jsonl").write_text("".join(json.dumps(row) + "\n" for row in keeps))
    (tmp_path / "policy.yaml").write_text("required: {}\n")
    return [
        *(saved_model, "--original", tmp_path / "original", "--retrained", tmp_path / "control"),
        *("--forget", f"tofu:{AUTHORS}", "--retain", tmp_path / "retain.jsonl", "--policy", tmp_path / "policy.yaml"),
        *("--attacks", "as-is", "--probes", "recall,forced-choice,perturbed,utility", "--comparisons", ","),
        *("--profile", "quick"),
    ]


def test_what_a_file_in_tofus_form_cannot_show_is_said_before_the_run(invoke, request_of):
    code, out, _ = invoke("plan", *request_of, "--json")
    plan = json.loads(out)
    told = " ".join([*plan["remarks"], *plan["power"]])
    assert code == 3
    assert "38 of 40 facts answer in a whole sentence without aliases" in told
    assert "40 of 40 facts have no `relation`, and 40 of these no `aliases`" in told
    assert "perturbed.answer cannot score 7 of 40 facts" in told
    assert "33 of the 40 listed facts can have a score of any model, and a pass needs 95%" in plan["obstacle"]
    (left,) = [one for one in plan["case"]["left_out"] if one["what"] == "forced-choice.probability"]
    assert left["why"].startswith(NO_OPTIONS)


@pytest.mark.slow  # models of random weights do not stop: each answer takes as long as it may
def test_a_file_in_tofus_form_is_run_to_a_verdict(invoke, request_of, tmp_path):
    code, _, err = invoke("run", *request_of, "--out", tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (code, result["outcome"]) == (3, "INCONCLUSIVE"), err
    deciding = {one["id"]: one for one in result["verdict"]["findings"] if one["gates"]}
    assert set(deciding) == {"as-is/recall.hit", "as-is/perturbed.answer"}
    assert [name for name, one in deciding.items() if one["refusal_proof"]] == ["as-is/perturbed.answer"]
    assert deciding["as-is/perturbed.answer"]["facts"] == 33
    assert deciding["as-is/perturbed.answer"]["status"] == "no-power"  # models of random weights
