"""What is looked at before anything relies on a checkpoint: how it is asked, and whether it is one to audit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from unlearn_audit.api import Fact, FactSet, Prompt
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.facts.load import Facts
from unlearn_audit.models.examine import check_model
from unlearn_audit.models.loading import load, record
from unlearn_audit.models.references import resolve
from unlearn_audit.plan import make
from unlearn_audit.plan.make import make_plan, texts_of
from unlearn_audit.spec.spec import AuditSpec, ModelOptions

OPTIONS = ModelOptions(device="cpu")
CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"


@pytest.fixture
def checkpoint(saved_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_model, tmp_path / "model"))


@pytest.fixture
def pair(saved_model: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint and a control, with one template."""
    made = tmp_path / "checkpoint", tmp_path / "control"
    for place, where in enumerate(made):
        shutil.copytree(saved_model, where)
        (where / "chat_template.jinja").write_text(CHAT)
        weights = load_file(where / "model.safetensors")
        save_file({name: value + place for name, value in weights.items()}, where / "model.safetensors")
    return made


def notes(pair: tuple[Path, Path]) -> tuple[str, ...]:
    fact = {"id": "f", "subject": "Bo", "question": "Where is Bo?", "answer": "here"}
    (pair[0].parent / "forget.jsonl").write_text(json.dumps(fact))
    spec = AuditSpec(
        checkpoint=str(pair[0]),
        retrained=(str(pair[1]),),
        forget=str(pair[0].parent / "forget.jsonl"),
        attacks={"as-is": {}},
        probes={"recall": {}},
        comparisons={},
        models=OPTIONS,
    )
    return make_plan(spec).plan.notes


@pytest.mark.parametrize("name", ["norm.weight", "model.model.norm.weight"])
def test_two_tensors_for_one_weight_are_refused(checkpoint: Path, name: str) -> None:
    """transformers finds both, and takes one of them without a word."""
    weights = load_file(checkpoint / "model.safetensors")
    weights[name] = weights["model.norm.weight"] + 1
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AuditError, match=r"norm\.weight and .*norm\.weight, which are one weight for the loader"):
        load(resolve(str(checkpoint)), OPTIONS)


def test_roles_that_are_asked_alike_need_no_note(pair):
    assert notes(pair) == ()


@pytest.mark.parametrize("place", [0, 1])
def test_a_role_that_has_lost_its_template_is_refused(pair, place):
    (pair[place] / "chat_template.jinja").unlink()
    with pytest.raises(SpecError, match=("unlearned" if place == 0 else "retrained") + ": has no chat template"):
        notes(pair)


def test_another_template_and_another_vocabulary_are_named(pair):
    (pair[1] / "chat_template.jinja").write_text(CHAT + " ")
    tokenizer = AutoTokenizer.from_pretrained(pair[1])
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(pair[1])
    (said,) = notes(pair)
    assert said == "retrained is not asked like unlearned: the chat template, the vocabulary differ"


def test_as_many_texts_are_read_as_take_seconds_and_those_to_forget_come_first(monkeypatch):
    sets = [
        Facts(name=name, source="f", facts=(Fact(id="1", subject="Bo", question=f"Where is {who}?", answer="here"),))
        for name, who in ((FactSet.FORGET, "Bo"), (FactSet.RETAIN, "Ada"))
    ]
    assert texts_of(sets) == ["Where is Bo?", "here", "Where is Ada?"]
    monkeypatch.setattr(make, "MOST_LETTERS", 20)
    assert texts_of(sets) == ["Where is Bo?", "here"]
    book = Facts(name=FactSet.FORGET, source="f", facts=(Fact(id="0", subject="A book", text="x" * 21),))
    assert texts_of([book, *sets]) == ["Where is Bo?", "here"]


def rewrite(folder: Path, part: str, old: str, new: str) -> None:
    """Lets a tokenizer write one word for another, before it reads a text or after it has written one."""
    path = folder / "tokenizer.json"
    settings = json.loads(path.read_text())
    swap = {"type": "Replace", "pattern": {"String": old}, "content": new}
    own = [settings[part]] if settings[part] else []
    path.write_text(json.dumps({**settings, part: {"type": "Sequence", f"{part}s": [*own, swap]}}))


@pytest.mark.parametrize("part", ["normalizer", "decoder"])
def test_a_tokenizer_that_rewrites_no_text_of_the_audit_is_named(pair, part):
    rewrite(pair[0], part, "Ada", "Bo")
    (said,) = notes(pair)
    assert said.startswith("retrained is not asked like unlearned") and "how texts become tokens" in said


@pytest.mark.parametrize("part", ["normalizer", "decoder"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_tokenizer_that_rewrites_a_text_of_the_audit_is_refused(pair, part, place):
    """It hides a person from every prompt, or from every answer, whatever the weights know."""
    rewrite(pair[place], part, "Bo", "Al")
    with pytest.raises(SpecError, match="unlearned: its tokenizer reads 1 of 2 texts otherwise than retrained's"):
        notes(pair)


def test_a_template_that_asks_for_today_is_named_with_the_day_that_it_writes(pair):
    for where in pair:
        (where / "chat_template.jinja").write_text("{{ strftime_now('%Y') }}" + CHAT)
    (said,) = notes(pair)
    assert "retrained, unlearned: the template writes 2024-07-26 for today's date" in said


def test_weights_that_are_no_numbers_are_refused(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    name = sorted(weights)[0]
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, checkpoint / "model.safetensors")
    with pytest.raises(AuditError, match=rf"1 weights hold values that are not finite, e\.g\. {name}"):
        check_model("it", load(resolve(str(checkpoint)), OPTIONS))


def test_a_model_that_reads_ahead_is_refused_and_a_causal_one_is_not(checkpoint, tmp_path):
    check_model("it", load(resolve(str(checkpoint)), OPTIONS))
    size = len(AutoTokenizer.from_pretrained(checkpoint))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    masked = tmp_path / "masked"
    BertForMaskedLM(config).save_pretrained(masked)
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(masked)
    with pytest.raises(AuditError, match="not a causal language model"):
        check_model("it", load(resolve(str(masked)), OPTIONS))


def test_the_checkpoint_has_no_say_in_how_it_is_asked(checkpoint):
    plain = load(resolve(str(checkpoint)), OPTIONS).generate([Prompt(text="Who?")], max_new_tokens=4)
    first = AutoTokenizer.from_pretrained(checkpoint).encode(plain[0].text, add_special_tokens=False)
    hostile = {"suppress_tokens": first, "bad_words_ids": [first], "num_return_sequences": 2, "num_beams": 2}
    (checkpoint / "generation_config.json").write_text(json.dumps(hostile))
    found = resolve(str(checkpoint))
    engine = load(found, OPTIONS)
    assert engine.generate([Prompt(text="Who?")], max_new_tokens=4) == plain
    (said,) = record("unlearned", "unlearned", found, engine).notes
    assert "bad_words_ids, num_beams, num_return_sequences, suppress_tokens" in said


def test_a_prompt_beyond_the_context_is_missing_and_takes_no_other_with_it(checkpoint):
    engine = load(resolve(str(checkpoint)), OPTIONS)
    context = engine.context
    assert context is not None
    fits, long = Prompt(text="Who?"), Prompt(text="word " * context)
    alone = engine.generate([fits], max_new_tokens=4)[0]
    together = engine.generate([long, fits], max_new_tokens=4)
    assert together[1] == alone
    assert together[0].missing is not None
    assert f"longer than the {context} that the model reads" in together[0].missing
    scored = engine.score([(long, "x"), (fits, "x")])
    assert scored[0].missing is not None
    assert scored[1] == engine.score([(fits, "x")])[0]
