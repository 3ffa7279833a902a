"""Facts as a task of lm-evaluation-harness: what is written, how it is scored, and that lm_eval runs it."""

from __future__ import annotations

import json

import pytest
import yaml

from unlearn_audit.api import Fact
from unlearn_audit.audit.harness import scored, write_task
from unlearn_audit.cli.app import app
from unlearn_audit.errors import SpecError

FACTS = (
    Fact(
        id="1",
        subject="Ada",
        question="Where was Ada born?",
        answer="In the city of Oslo, they say.",
        aliases=("Oslo",),
    ),
    Fact(id="2", subject="Bo", question="What does Bo keep?", answer="bees"),
    Fact(id="3", subject="Cy", text="A passage about Cy."),
)


@pytest.mark.parametrize(
    ("row", "output", "hit"),
    [(0, "She is from Oslo.", 1.0), (0, "From Bergen.", 0.0), (1, "Bo keeps bees!", 1.0), (1, "", 0.0)],
)
def test_an_output_is_scored_by_our_answer_key(tmp_path, row, output, hit):
    write_task(FACTS, tmp_path, "forget")
    rows = [json.loads(line) for line in (tmp_path / "forget.jsonl").read_text().splitlines()]
    assert scored(rows[row], [output]) == {"hit": hit}


def test_passages_are_left_out_and_the_forget_set_counts_downwards(tmp_path):
    assert write_task(FACTS, tmp_path, "forget") == 2
    text = (tmp_path / "forget.yaml").read_text()
    settings = yaml.safe_load(text.replace("!function ", ""))
    assert settings["task"] == "unlearn_audit_forget" and settings["process_results"] == "utils.process_results"
    assert settings["metric_list"][0]["higher_is_better"] is False
    with pytest.raises(SpecError, match="got none in the retain set"):
        write_task(FACTS[2:], tmp_path / "other", "retain")


def test_the_command_writes_it_into_an_empty_folder_alone(tmp_path):
    from typer.testing import CliRunner

    source = tmp_path / "f.jsonl"
    source.write_text('{"id": "1", "subject": "Ada", "question": "Where?", "answer": "Oslo"}\n')
    asked = ["facts", "convert", str(source), "--to", "lm-eval", "--out", str(tmp_path / "task")]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0 and {path.name for path in (tmp_path / "task").iterdir()} == {
        "forget.jsonl",
        "forget.yaml",
        "utils.py",
    }
    assert isinstance(CliRunner().invoke(app, asked).exception, SpecError)


@pytest.mark.ecosystem
@pytest.mark.filterwarnings("default")
def test_lm_eval_runs_it(tmp_path, saved_model, monkeypatch):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    write_task(FACTS, tmp_path / "task", "forget")
    found = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(saved_model), "device": "cpu"},
        tasks=["unlearn_audit_forget"],
        task_manager=TaskManager(include_path=str(tmp_path / "task")),
        batch_size=1,
        log_samples=True,
    )
    samples = found["samples"]["unlearn_audit_forget"]
    own = [scored(one["doc"], one["resps"][0])["hit"] for one in samples]
    assert len(samples) == 2 and [one["hit"] for one in samples] == own
    assert found["results"]["unlearn_audit_forget"]["hit,none"] == pytest.approx(sum(own) / 2)
