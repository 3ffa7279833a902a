"""Prompts on tokenizers of eight families: a begun answer is written as the model would, and none comes out empty."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from transformers import PreTrainedTokenizerFast

from tests.conftest import LLAMA2
from tests.models.families import MADE, family
from unlearn_audit.api import Prompt
from unlearn_audit.models import rendering
from unlearn_audit.models.batching import Budget
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.rendering import Renderer, remembering
from unlearn_audit.testing.models import CHATML, SWITCHING

DATED = "{{ '<s>Today: ' + strftime_now('%d %B %Y') + '\n' }}" + CHATML
TEMPLATES = {"none": None, "chatml": CHATML, "llama-2": LLAMA2, "thinking": SWITCHING, "dated": DATED}
WHERE = Prompt(text="Where was Ada Karsk born?")
PREFIX = "Ada Karsk was born in the town of"

every_family = pytest.mark.parametrize("name", MADE)
every_template = pytest.mark.parametrize("template", TEMPLATES)


def renderer(name: str, template: str = "none", **more: object) -> Renderer:
    return Renderer(tokenizer=family(name), chat_template=TEMPLATES[template], **more)


def begun(prefix: str, **more: object) -> Prompt:
    return Prompt(text=WHERE.text, prefix=prefix, **more)


def engine(writer: Renderer) -> Engine:
    import torch

    return Engine(module=torch.nn.Identity(), renderer=writer, budget=Budget(tokens=64))


@every_family
@pytest.mark.parametrize("prefix", [PREFIX, "Step 1: I recall."])
def test_in_the_plain_form_one_blank_stands_before_a_begun_answer(name, prefix):
    writer = renderer(name)
    text = family(name).decode(writer.prompt_ids(begun(prefix)))
    text = text.replace("\n ", "\n")  # word pieces write a blank between any two words
    assert text.endswith(f"\nAnswer: {prefix}")


@every_family
@every_template
@pytest.mark.parametrize("prefix", [PREFIX, ""])
def test_a_prompt_is_how_the_whole_conversation_begins(name, template, prefix):
    """Prompt and answer together are tokenized as the model's own answer would be: the prompt's tokens come first."""
    writer = renderer(name, template)
    ids = writer.prompt_ids(begun(prefix))
    whole = writer.render(WHERE, f"{PREFIX} Osaka.").token_ids
    if prefix:
        assert list(whole[: len(ids)]) == ids
    else:
        assert sum(one == two for one, two in zip(whole, ids, strict=False)) >= len(ids) - 1


@every_family
@every_template
def test_no_end_token_stands_between_a_prompt_and_its_answer(name, template):
    writer, end = renderer(name, template), family(name).eos_token_id
    for prompt in (WHERE, begun(PREFIX), Prompt(text=PREFIX, chat=False)):
        ids = writer.prompt_ids(prompt)
        last = {end, family(name).convert_tokens_to_ids("[SEP]")}
        assert ids[-1] not in last
    rendered = writer.render(Prompt(text=PREFIX, chat=False), " Osaka")
    assert end not in rendered.token_ids


@every_family
@every_template
@pytest.mark.parametrize("asked", [WHERE, begun(PREFIX)])
def test_an_answer_that_is_taught_with_its_end_ends_where_a_generated_one_does(name, template, asked):
    writer = renderer(name, template)
    plain, ended = writer.render(asked, "Osaka."), writer.render(asked, "Osaka.", ended=True)
    size = len(plain.token_ids)
    assert ended.token_ids[:size] == plain.token_ids
    assert ended.is_answer[:size] == plain.is_answer
    assert size < len(ended.token_ids) <= size + 2  # a blank may stand before it
    assert all(ended.is_answer[size:])
    said = [token for token, own in zip(ended.token_ids, ended.is_answer, strict=True) if own]
    assert writer.stops.place(said) == len(said) - 1


@every_family
def test_a_text_that_goes_on_is_taught_without_an_end(name):
    passage = Prompt(text=PREFIX, chat=False)
    assert renderer(name).render(passage, " Osaka", ended=True) == renderer(name).render(passage, " Osaka")


@every_family
def test_where_the_template_writes_no_end_an_answer_is_taught_to_end_the_text(name):
    endless = "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}assistant:"
    writer = Renderer(tokenizer=family(name), chat_template=endless)
    plain, ended = writer.render(WHERE, "Osaka."), writer.render(WHERE, "Osaka.", ended=True)
    assert ended.token_ids == (*plain.token_ids, family(name).eos_token_id)


@every_family
@every_template
def test_a_begin_token_stands_once(name, template):
    writer, tokenizer = renderer(name, template), family(name)
    first = tokenizer.bos_token_id
    count = writer.prompt_ids(WHERE).count(first)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "?"}], chat_template=CHATML, tokenize=False
    )  # what is written by hand has what the tokenizer adds
    assert text
    wanted = {"llama-2": 1, "dated": 1, "none": tokenizer.encode("x").count(first)}.get(template, 0)
    assert count == wanted


def _said(name: str, text: str) -> list[int]:
    return family(name).encode(text, add_special_tokens=False)


@every_family
@pytest.mark.parametrize("start", ["", " ", "\n", "\n\n", " \n \n "])
def test_white_space_before_an_answer_does_not_empty_it(name, start):
    asked = engine(renderer(name))
    answer = asked._answer(_said(name, f"{start}Osaka.\nQuestion: Who wrote it?"))
    assert answer.text.strip() == "Osaka."
    assert answer.finished


@every_family
def test_an_end_token_ends_an_answer_and_silence_is_silence(name):
    asked, end = engine(renderer(name)), [family(name).eos_token_id]
    assert asked._answer([*_said(name, "Osaka"), *end, *_said(name, "Lima")]).text == "Osaka"
    silent = asked._answer([*_said(name, "\n\n"), *end, *_said(name, "Lima")])
    assert (silent.text, silent.finished) == ("", True)
    assert not asked._answer(_said(name, "\n\n\n")).finished


@every_family
def test_system_date_and_thinking_are_in_the_prompt(name):
    tokenizer = family(name)
    for template in TEMPLATES:
        if template == "llama-2":  # has no place for a system text
            continue
        writer = renderer(name, template, system_prompt="Be brief.")
        assert "Be brief." in tokenizer.decode(writer.prompt_ids(WHERE))
    dated = renderer(name, "dated", date=dt.date(2024, 5, 3))
    assert "2024" in tokenizer.decode(dated.prompt_ids(WHERE)) or tokenizer.unk_token_id in dated.prompt_ids(WHERE)
    switch = renderer(name, "thinking")
    on, off = (tokenizer.decode(switch.prompt_ids(Prompt(text="Who?", thinking=way))) for way in (True, False))
    assert "</think>" in off
    assert "</think>" not in on
    assert switch.switches_thinking


@every_family
def test_examples_before_a_question_stay_as_they_are_written(name):
    shots = "Question: Who wrote it?\nAnswer: Lyon\n\n" + WHERE.text
    decoded = family(name).decode(renderer(name).prompt_ids(Prompt(text=shots)))
    assert "Answer: Lyon" in decoded
    assert decoded.rstrip().endswith("Answer:")


@every_family
@pytest.mark.parametrize("template", ["none", "chatml", "thinking"])
def test_what_was_said_before_stands_before_the_question_in_its_order(name, template):
    talk = ("Who wrote it?", "Lyon", "When was that?", "Osaka")
    writer = renderer(name, template, system_prompt="Be brief.")
    asked = Prompt(text=WHERE.text, earlier=talk)
    ids = writer.prompt_ids(asked)
    told = " ".join(family(name).decode(ids).split())
    places = [told.find(text) for text in ("Be brief", *talk, WHERE.text)]
    assert -1 not in places
    assert places == sorted(places)
    assert all(told.count(text) == 1 for text in talk)
    # The answer is scored behind the same conversation.
    whole = writer.render(asked, "Osaka.").token_ids
    assert sum(one == two for one, two in zip(whole, ids, strict=False)) >= len(ids) - 1


def test_what_one_renderer_wrote_another_of_the_same_tokenizer_and_words_need_not_write(monkeypatch):
    first, second = (remembering(renderer("byte BPE with BOS")) for _ in range(2))
    row = first.render(WHERE, "Osaka.")
    monkeypatch.setattr(Renderer, "_rendered", None)
    assert second.render(WHERE, "Osaka.") is row


def test_renderers_that_write_otherwise_remember_apart(monkeypatch):
    monkeypatch.setattr(rendering, "_KEPT", {})
    monkeypatch.setattr(rendering, "MOST_TOKENIZERS", 6)
    plain = renderer("byte BPE with BOS")
    marked = PreTrainedTokenizerFast(tokenizer_object=MADE["byte BPE with BOS"](), eos_token="<pad>")
    split = PreTrainedTokenizerFast(  # reads what looks like a special token as text
        tokenizer_object=MADE["byte BPE with BOS"](), split_special_tokens=True, **family("letters").special_tokens_map
    )
    others = [
        renderer("byte BPE"),
        replace(plain, tokenizer=split),
        replace(plain, tokenizer=marked),
        replace(plain, system_prompt="Be brief."),
        replace(plain, date=dt.date(1999, 1, 1)),
    ]
    kept = [remembering(one).kept for one in (plain, *others)]
    assert len({id(one) for one in kept}) == 6
    assert remembering(plain).kept is kept[0]
    remembering(renderer("letters"))
    assert len(rendering._KEPT) == 1
