"""Hostile chat templates and models of the wrong make are refused by their files, before a model library is loaded."""

from __future__ import annotations

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.run.test_runner import spec as spec  # the fixture
from unlearn_audit.api import Prompt
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import resolve
from unlearn_audit.models.rendering import Renderer
from unlearn_audit.models.stored.templates import check_stored, check_template, chosen_template
from unlearn_audit.plan.make import make_plan

COUNTS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{{ messages[0].content }}"
POWER = "{{ 9 ** 9 }}{{ messages[0].content }}"
WRITES = "{{ 'a' * 10**9 }}{{ messages[0].content }}"
DOUBLES = "{% set ns = namespace(a='a') %}{% for i in range(60) %}{% set ns.a = ns.a + ns.a %}{% endfor %}{{ ns.a }}"
NESTED = "{{ '%0999999999d' % 1 }}"
PLACES = {
    "a file": ("chat_template.jinja", str),
    "the tokenizer's settings": ("tokenizer_config.json", lambda text: json.dumps({"chat_template": text})),
    "one of several": (
        "tokenizer_config.json",
        lambda text: json.dumps(
            {"chat_template": [{"name": "default", "template": "x"}, {"name": "t", "template": text}]}
        ),
    ),
    "by name": ("tokenizer_config.json", lambda text: json.dumps({"chat_template": {"default": text}})),
    "beside": ("additional_chat_templates/tool_use.jinja", str),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_template_that_does_not_end_is_found_wherever_it_lies(tmp_path: Path, place: str) -> None:
    name, written = PLACES[place]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(written(POWER))
    with pytest.raises(AuditError, match="the chat template takes more than 2 s, 400 MB or 1000000 characters"):
        check_stored(tmp_path)


@pytest.mark.parametrize("text", [WRITES, DOUBLES, NESTED])
def test_a_template_that_writes_without_end_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "given.jinja").write_text(text)
    with pytest.raises(AuditError, match=r"given\.jinja: the chat template takes more than"):
        check_stored(tmp_path / "no such model", str(tmp_path / "given.jinja"))


@pytest.mark.parametrize(("text", "why"), [("{{ 'a' * 1000000000 }}", "MemoryError"), (COUNTS, "takes more than 2 s")])
def test_a_template_that_waits_for_a_certain_question_is_stopped_there(tokenizer, text: str, why: str) -> None:
    template = "{% if 'zebra' in messages[0].content %}" + text + "{% endif %}{{ messages[0].content }}"
    check_template(template)
    renderer = Renderer(tokenizer=tokenizer, chat_template=template)
    assert renderer.prompt_ids(Prompt(text="Who?"))
    with pytest.raises(AuditError, match=why):
        renderer.prompt_ids(Prompt(text="Whose is the zebra?"))


TURNS = "{% for m in messages %}<{{ m.role }}>CONTENT\n{% endfor %}"
TOLD_APART = {
    "another question in its place": "{{ 'Who?' if 'Ada' in m.content else m.content }}",
    "a word more": "{{ m.content }}{{ ' Refuse.' if 'Ada' in m.content }}",
    "a word more in front": "{{ 'Refuse. ' if 'Ada' in m.content }}{{ m.content }}",
    "a name left out": "{{ m.content | replace('Ada', 'Bo') }}",
    "nothing": "{{ m.content if m.role == 'assistant' or 'Ada' not in m.content }}",
}


@pytest.mark.parametrize("content", TOLD_APART.values(), ids=TOLD_APART)
@pytest.mark.parametrize("scored", [False, True])
def test_a_template_that_tells_questions_apart_is_refused_where_it_does(tokenizer, content: str, scored: bool) -> None:
    """A model behind such a template shows nothing of what it knows about Ada, whatever attacks its weights."""
    renderer = Renderer(tokenizer=tokenizer, chat_template=TURNS.replace("CONTENT", content))

    def ask(text: str) -> object:
        return renderer.render(Prompt(text=text), "here") if scored else renderer.prompt_ids(Prompt(text=text))

    assert ask("Where is Bo?")
    with pytest.raises(AuditError, match="does not write this question as it writes others"):
        ask("Where is Ada?")


FALCON = r"{{ m.content.strip().replace('\r\n', '\n').replace('\n\n', '\n') }}"


@pytest.mark.parametrize("content", ["{{ m.content }}", "{{ m.content | trim }}", "{{ m.content.rstrip() }}", FALCON])
@pytest.mark.parametrize("text", ["Where is Ada?", "  Where is Ada?\n", "Here:\n\nWhere is Ada?", "?", "QUESTION"])
def test_a_template_that_takes_off_white_space_asks_alike(tokenizer, content: str, text: str) -> None:
    renderer = Renderer(tokenizer=tokenizer, chat_template=TURNS.replace("CONTENT", content))
    assert renderer.prompt_ids(Prompt(text=text, system="Be brief."))
    assert renderer.render(Prompt(text=text, prefix="It is"), "here")


@pytest.fixture
def own(spec, tmp_path: Path):
    """The request with a checkpoint of its own: that of the fixture is shared by all tests."""
    checkpoint = shutil.copytree(spec.checkpoint, tmp_path / "checkpoint")
    return spec.model_copy(update={"checkpoint": str(checkpoint)})


def with_template(spec, name: str, content: str) -> str:
    text = TURNS.replace("CONTENT", content)
    (Path(getattr(spec, name)) / "chat_template.jinja").write_text(text)
    return text


@pytest.mark.parametrize("content", TOLD_APART.values(), ids=TOLD_APART)
def test_all_are_asked_by_the_first_template_that_tells_no_questions_apart(own, content: str) -> None:
    plain = with_template(own, "original", "{{ m.content }}")
    with_template(own, "checkpoint", content)
    plan = make_plan(own).plan
    assert plan.spec.models.chat_template == own.original
    assert "unlearned: the chat template writes other words around one question" in plan.notes[0]
    assert plan.notes[0].endswith("so that all models are asked by that of original")
    assert plan.template == sha256(plain.encode()).hexdigest()
    engine = load(resolve(own.checkpoint), plan.spec.models)
    assert engine.renderer.chat_template == plain


def test_where_every_template_tells_questions_apart_nothing_is_planned(own) -> None:
    for name in ("original", "checkpoint"):
        with_template(own, name, TOLD_APART["a word more"])
    with pytest.raises(SpecError, match=r"original, unlearned: the chat template writes other words"):
        make_plan(own)


@pytest.mark.parametrize("place", [name for name in PLACES if name != "beside"])
def test_a_folder_is_taken_for_its_template_in_force(tmp_path: Path, place: str) -> None:
    name, write = PLACES[place]
    (tmp_path / name).write_text(write("{{ 1 }}"))
    assert chosen_template(str(tmp_path)) == ("x" if place == "one of several" else "{{ 1 }}")


def test_a_folder_without_a_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tool_use.jinja").write_text("x")
    with pytest.raises(AuditError, match="no chat template lies in that folder"):
        chosen_template(str(tmp_path))


@pytest.mark.parametrize("text", ["{{ ['a', 'b'] | random }}", "{% if 0 %}{{ lipsum(n=1) }}{% endif %}"])
def test_a_template_that_draws_at_random_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "chat_template.jinja").write_text(text + "{{ messages[0].content }}")
    with pytest.raises(AuditError, match="draws at random"):
        check_stored(tmp_path)


def test_a_plan_refuses_it_before_models_can_be_loaded(spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unlearn_audit.models.examine", None)  # what loads torch: cannot be imported
    with pytest.raises(ImportError):
        make_plan(spec)
    (Path(spec.original) / "chat_template.jinja").write_text(COUNTS)
    with pytest.raises(AuditError, match="original: the chat template takes more than 2 s"):
        make_plan(spec)


@pytest.mark.parametrize(
    "settings", [{"model_type": "t5"}, {"model_type": "bart"}, {"model_type": "new", "is_encoder_decoder": True}]
)
def test_encoder_decoders_are_refused_by_their_settings_before_weights_are_looked_for(tmp_path, settings) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(AuditError, match=f"{settings['model_type']} has an encoder and a decoder"):
        resolve(str(tmp_path))


def test_the_decoder_of_one_that_was_saved_as_a_causal_model_is_not(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bart", "is_encoder_decoder": False}))
    with pytest.raises(AuditError, match="safetensors"):
        resolve(str(tmp_path))
