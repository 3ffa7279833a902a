"""The adapter for made-up inputs from outside reaches what it names."""

from __future__ import annotations

import json
from pathlib import Path

from tests import cases_adapter as adapter
from tests.verdict.test_verdict import POLICY, Audit

ROWS = [
    {
        "id": str(n),
        "subject": f"Ann {n}",
        "question": f"Where was Ann {n} born?",
        "answer": f"Town{n}",
        "relation": "born",
    }
    for n in range(6)
]


def test_the_answer_key_the_options_and_the_twins_are_reached():
    assert adapter.hit(ROWS[0], "In Town0.") is True
    assert adapter.hit(ROWS[0], "In Town1.") is False
    options = adapter.options(ROWS)
    assert options["0"][0] == "Town0"
    assert len(options) == len(ROWS)
    assert adapter.time_twins(ROWS) >= 0


def test_a_prompt_and_a_passage_are_reached(tokenizer):
    assert "Who?" in adapter.prompt_text(tokenizer, None, "Who?", "It was")
    assert 0 <= adapter.passage_share([True, False, True]) <= 1


def test_made_up_evidence_with_old_names_is_decided(tmp_path: Path):
    audit = Audit()
    audit.frame.assign(attack=audit.frame["attack"].replace("as-is", "none")).to_csv(
        tmp_path / "observations.csv.gz", index=False
    )
    case = audit.case.model_dump(mode="json")
    case["planned"] = [{**one, "attack": one["attack"].replace("as-is", "none")} for one in case["planned"]]
    about = {"case": case, "policy": POLICY.model_dump(mode="json"), "waivers": []}
    (tmp_path / "case.json").write_text(json.dumps(about))
    decided = adapter.judged(tmp_path)
    assert decided["outcome"] == audit.decided().outcome
    assert "none/recall.hit" in decided["findings"]
