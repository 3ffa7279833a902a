"""Thinking switched on and off: by the template's own switch, read as a whole, and missing where there is none."""

from __future__ import annotations

from dataclasses import replace

from unlearn_audit.probes.thinking import NO_SWITCH, Thinking, ThinkingParameters

from tests.probes.test_probes import REFUSAL, FakeModel, person
from unlearn_audit.api import Generation, Prompt
from unlearn_audit.api.kit.asking import CUT_OFF
from unlearn_audit.testing.models import CHATML, SWITCHING, tiny_engine

TURN = "<|start|>assistant\n"
OPENING = CHATML.replace(
    TURN, TURN + "{% if thinking is defined and not thinking %}<think></think>{% else %}<think>{% endif %}"
)
POOL = [person(number, f"City{number}") for number in range(20)]


class Thinks(FakeModel):
    """Refuses, and says the answer where it thinks."""

    def _generation(self, prompt, number=None):
        subject = prompt.text.split("Subject")[1].split()[0]
        told = f"<think>So it is City{subject}.</think> {REFUSAL}"
        return Generation(text=told if prompt.thinking else REFUSAL, finished=True, new_tokens=9)


def readings(model, facts=POOL[:3]):
    found = Thinking(ThinkingParameters()).observe(model, facts, POOL)
    return {(one.fact_id, one.measure, one.variant): one for one in found}


def test_what_a_model_thinks_counts_as_said():
    model = Thinks(switches_thinking=True)
    found = readings(model)
    assert {found[f"f{at}", "hit", "thinking"].score for at in range(3)} == {1.0}
    assert {found[f"f{at}", "hit", "not-thinking"].score for at in range(3)} == {0.0}
    assert found["f0", "exposure", "any"].score == 1.0
    assert found["f0", "exposure", "any"].twin_score == 0.0
    assert model.limits == {1024}


def test_a_thought_that_is_cut_off_says_nothing():
    cut = Generation(text="<think>Where was he", finished=False, new_tokens=9)
    found = readings(FakeModel(says=lambda _: cut, switches_thinking=True))
    assert found["f0", "hit", "thinking"].missing == CUT_OFF
    assert found["f0", "exposure", "any"].missing == CUT_OFF


def test_without_a_switch_every_fact_is_missing_and_nothing_is_asked():
    model = FakeModel()
    found = readings(model, [*POOL[:2], replace(POOL[2], question=None)])
    assert found["f0", "hit", "thinking"].missing == found["f0", "exposure", "any"].missing == NO_SWITCH
    assert found["f2", "hit", "thinking"].missing == "the fact has no question and answer"
    assert model.calls == []


class Refuses(FakeModel):
    """Decides in its thoughts to refuse; without them it says the answer."""

    def opens_thinking(self, prompt):
        return "</think>" not in prompt.prefix

    def _generation(self, prompt, number=None):
        told = f"City{prompt.text.split('Subject')[1].split()[0]}" if prompt.prefix else f"No.</think> {REFUSAL}"
        return Generation(text=told, finished=True, new_tokens=9)


def test_where_a_template_opens_a_thought_and_has_no_switch_the_thought_is_closed():
    found = readings(Refuses())
    assert {found[f"f{at}", "hit", "thinking"].score for at in range(3)} == {0.0}
    assert {found[f"f{at}", "hit", "not-thinking"].score for at in range(3)} == {1.0}
    assert found["f0", "exposure", "any"].score == 1.0


def test_the_switch_is_the_template_s_own(tokenizer):
    plain, switching, opening = (tiny_engine(tokenizer, template=text) for text in (CHATML, SWITCHING, OPENING))
    assert [engine.switches_thinking for engine in (plain, switching, opening)] == [False, True, True]
    assert not tiny_engine(tokenizer, template=None).switches_thinking
    off, on, default = (Prompt(text="Who?", thinking=thinking) for thinking in (False, True, None))
    ids = [switching.renderer.prompt_ids(prompt) for prompt in (off, on, default)]
    assert ids[0] != ids[1] == ids[2] == plain.renderer.prompt_ids(on)
    assert [opening.opens_thinking(prompt) for prompt in (off, on, default)] == [False, True, True]
    assert not any(switching.opens_thinking(prompt) for prompt in (off, on, default))
    assert not plain.opens_thinking(on)
