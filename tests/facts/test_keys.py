"""What is said of the answers of a set before anything runs."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from unlearn_audit.api import Fact
from unlearn_audit.cli.app import app
from unlearn_audit.facts.keys import Way, key_remarks, looked_for

FACTS = [
    Fact(id="a", subject="Ada", question="Where was Ada born?", answer="Osaka"),
    Fact(id="b", subject="Ada", question="Did Ada marry?", answer="No"),
    Fact(id="c", subject="Ada", question="Where does Ada live?", answer="Ada lives in the old town of Brenholt."),
    Fact(id="d", subject="Ada", question="How does Ada write?", answer="She writes slowly and with great attention."),
    Fact(id="e", subject="Ada", question="Was it Lima or Lyon?", answer="Lima"),
    Fact(id="f", subject="Ada", text="A passage."),
]


def test_each_fact_says_what_it_is_looked_for_by() -> None:
    found = {one.fact.id: one for one in looked_for(FACTS)}
    ways = [Way.AS_WRITTEN, Way.AS_WRITTEN, Way.NAMES, Way.WORDING, Way.NONE]
    assert [found[name].way for name in "abcde"] == ways
    assert found["c"].texts == ("Brenholt",)
    assert [name for name in "abcde" if found[name].by_chance] == ["b"]
    assert "f" not in found


def test_remarks_count_and_name_ids_and_no_answer() -> None:
    chance, sentences, unjudged = key_remarks(FACTS, has_control=False)
    assert chance.startswith("1 of 5 facts have an answer that any text may hold by chance")
    assert "give --retrained" in chance
    assert "give --retrained" not in key_remarks(FACTS, has_control=True)[0]
    assert sentences.startswith("2 of 5 facts answer in a whole sentence without aliases; 1 of these hold no name")
    assert "(the question holds the answer), e.g. e" in unjudged
    assert not any("Brenholt" in one or "Lima" in one for one in (chance, sentences, unjudged))
    assert key_remarks(FACTS[:1], has_control=False) == ()


def test_the_command_shows_what_is_looked_for(tmp_path) -> None:
    path = tmp_path / "facts.jsonl"
    rows = [{"id": one.id, "subject": one.subject, "question": one.question, "answer": one.answer} for one in FACTS[:5]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = CliRunner().invoke(app, ["facts", "check", str(path)])
    assert shown.exit_code == 0
    assert "Brenholt" in shown.output
    told = json.loads(CliRunner().invoke(app, ["facts", "check", str(path), "--json"]).output)
    assert told["facts"][2] == {
        "id": "c",
        "judged_by": "names in the sentence",
        "looked_for": ["Brenholt"],
        "by_chance": False,
        "missing": None,
    }
    assert len(told["remarks"]) == 3
