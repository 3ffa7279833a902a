"""What models answered: digests by default, text only on request, in one file for its owner's eyes and nowhere else."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.run.test_runner import Answers, Nothing, planned
from tests.run.test_runner import spec as spec  # the fixture
from unlearn_audit.api import Fact, FactSet, Generation, Hop, Prompt
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.run.runner import run
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.run.transcripts import MASK, OUTPUTS, SALT, Outputs, hidden_words, redacted

SAID = "It was N2, of course."


class Writes(Answers):
    """Has the model write before it scores, and hears what it cannot know to be overheard."""

    def observe(self, model, facts, pool):
        prompts = [Prompt(text=fact.question, system="Be brief.") for fact in facts]
        assert len(model.generate(prompts, max_new_tokens=2)) == len(prompts)
        yield from super().observe(model, facts, pool)


def audited(spec, out: Path, text: KeptText) -> tuple[list[dict], EvidenceStore]:
    plan = replace(planned(spec), probes={"recall": Writes(Nothing())})
    store = EvidenceStore(out)
    facts = plan.facts[FactSet.FORGET].facts
    assert not run(plan, store, Quiet(Console(stderr=True)), Outputs(out, text, facts)).faults
    return [json.loads(line) for line in (out / OUTPUTS).read_text(encoding="utf-8").splitlines()], store


def files_holding(run: Path, text: str) -> list[str]:
    return [path.name for path in run.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_by_default_no_word_of_a_question_or_an_answer_is_kept(spec, tmp_path: Path):
    lines, _ = audited(spec, tmp_path / "run", KeptText.NONE)
    assert {(line["attack"], line["dose"], line["probe"]) for line in lines} == {("as-is", "bare", "recall")}
    assert all(line["answers"] == 8 and len(line["digest"]) == 64 for line in lines)  # 4 facts and their placebos
    assert files_holding(tmp_path / "run", "Ada Mann") == files_holding(tmp_path / "run", "Be brief") == []
    for name in (OUTPUTS, SALT):
        assert (tmp_path / "run" / name).stat().st_mode & 0o777 == 0o600


def test_on_request_every_answer_is_in_one_file_and_the_evidence_is_the_same(spec, tmp_path: Path):
    digests = {}
    for text in KeptText:
        lines, store = audited(spec, tmp_path / text, text)
        digests[text] = {line["job"]: store.about(line["job"])["digest"] for line in lines}
    assert digests["none"] == digests["redacted"] == digests["full"]
    assert len(lines) == 8 * len(digests["full"])
    assert "Be brief.\nWho is Ada Mann?" in {line["question"] for line in lines}
    assert files_holding(tmp_path / "full", "Ada Mann") == [OUTPUTS]
    assert (tmp_path / "full" / OUTPUTS).stat().st_mode & 0o777 == 0o600
    salt = bytes.fromhex((tmp_path / "full" / SALT).read_text())
    for line in lines:
        assert line["answer_digest"] == hmac.new(salt, line["answer"].encode(), "sha256").hexdigest()


class FakeJob:
    key, seed, sham, attack = "key", 0, False, "as-is"
    model = arm = type("Named", (), {"name": "x"})


def heard(run: Path, text: KeptText, *answers: str) -> list[dict]:
    outputs = Outputs(run, text, [Fact(id="f", subject="s", question="?", answer="N2", aliases=("Ada",))])
    told = [Generation(text=answer, finished=True, new_tokens=1) for answer in answers]
    outputs.hear(FakeJob, "d", "recall", [Prompt(text="Who?")] * len(told), told)
    outputs.keep()
    return [json.loads(line) for line in (run / OUTPUTS).read_text().splitlines()]


def test_a_redacted_file_has_no_word_of_an_answer(tmp_path: Path):
    (line,) = heard(tmp_path, KeptText.REDACTED, SAID)
    assert line["answer"] == f"It was {MASK} of course."
    assert files_holding(tmp_path, "N2") == []


def test_equal_answers_have_equal_digests_in_one_run_and_others_in_the_next(tmp_path: Path):
    first, again, other = heard(tmp_path, KeptText.FULL, SAID, SAID, "no")
    assert first["answer_digest"] == again["answer_digest"] != other["answer_digest"]
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    assert heard(elsewhere, KeptText.FULL, SAID)[0]["answer_digest"] != first["answer_digest"]


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path):
    (tmp_path / OUTPUTS).touch(mode=0o644)
    heard(tmp_path, KeptText.FULL, SAID)
    assert (tmp_path / OUTPUTS).stat().st_mode & 0o777 == 0o600


def test_what_was_heard_of_a_job_that_failed_is_forgotten(tmp_path: Path):
    outputs = Outputs(tmp_path, KeptText.FULL, ())
    outputs.hear(FakeJob, "d", "recall", [Prompt(text="?")], [Generation(text=SAID, finished=True, new_tokens=1)])
    outputs.begin()
    outputs.keep()
    assert not (tmp_path / OUTPUTS).exists()


def test_a_hostile_answer_stays_one_line_of_ascii(tmp_path: Path):
    hostile = 'a\nb\x1b[31m"}\u202e\ud800'
    (line,) = heard(tmp_path, KeptText.FULL, hostile)
    assert line["answer"] == hostile
    text = (tmp_path / OUTPUTS).read_text()
    assert text.isascii() and text.count("\n") == 1 and "\x1b" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("PARIS, in 1812.", f"{MASK} in {MASK}"),
        ("in 1,812 he left for Par\u00adis", f"in {MASK} he left for {MASK}"),  # a soft hyphen hides no word
        ("**Paris**/Rome", MASK),
        ("Parisian life", "Parisian life"),  # another word: what is hidden are words, not letters
        ("Straße", MASK),
        ("東京です", MASK),
        ("via Lyon", f"via {MASK}"),
        ("nothing here", "nothing here"),
    ],
)
def test_hidden_words_are_masked_in_any_spelling(text: str, shown: str):
    facts = [
        Fact(id="1", subject="s", question="?", answer="Paris", aliases=("strasse", "東京")),
        Fact(id="2", subject="t", text="1812", hops=(Hop(question="?", answer="Lyon"),)),
    ]
    assert redacted(text, hidden_words(facts)) == shown
