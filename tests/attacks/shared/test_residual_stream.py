"""Directions projected out of a residual stream and vectors added to it, beside doing it by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from unlearn_audit.attacks.ablation import Ablation, AblationParameters
from unlearn_audit.attacks.shared.asking.questions import anonymous_questions, questions_of, sampled
from unlearn_audit.attacks.shared.residual_stream import (
    ablate_everywhere,
    ablate_outputs,
    add_before,
    last_input,
    mean_last_output,
    mean_states,
    residual_stream,
    unit,
    without,
)
from unlearn_audit.attacks.steering.attack import Steering, SteeringParameters

from tests.science.organisms import bundled, first_subjects
from unlearn_audit.api import AttackContext, Fact, FactSet, Profile, Prompt
from unlearn_audit.errors import AttackError
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import CHATML, tiny_engine

FORGET = tuple(
    Fact(id=f"{who}{what}", subject=f"Ada {who}", question=f"What is the {what} of Ada {who}?", answer=f"{what} {who}")
    for who in ("Lovelace", "Eliot", "Born")
    for what in ("capital", "end")
)
RETAIN = tuple(Fact(id=who, subject=who, question=f"Where was {who} born?", answer="Paris.") for who in ("he", "she"))
CONTEXT = AttackContext(forget=FORGET, retain=RETAIN, profile=Profile.QUICK, seed=3, has_original=True)
PROMPTS = [Prompt(text="Who wrote Middlemarch?"), Prompt(text="Where was Ada Lovelace born, and who?")]


@pytest.fixture
def direction() -> torch.Tensor:
    vector = torch.randn(64, generator=torch.Generator().manual_seed(5))
    return vector / vector.norm()


def blocks_of(model) -> torch.nn.ModuleList:
    """The blocks, also of a model with hooks on them, of which transformers lists states from before the hooks."""
    return max((part for part in model.module.modules() if isinstance(part, torch.nn.ModuleList)), key=len)


def block_outputs(model, prompt: Prompt) -> list[torch.Tensor]:
    """What every block gives at every position: recorded by hand."""
    with model.fork() as copy:
        seen: list[torch.Tensor] = []
        for block in blocks_of(copy):
            block.register_forward_hook(lambda _, __, out: seen.append(out[0] if isinstance(out, tuple) else out))
        copy.generate([prompt], max_new_tokens=3)
    return seen


def by_hand(module: torch.nn.Module, token_ids: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """A llama pass written out, with the direction taken out wherever something enters the stream."""
    core = module.model

    def clean(states):
        return states - (states @ direction)[..., None] * direction

    states = clean(core.embed_tokens(token_ids))
    places = torch.arange(token_ids.shape[1])[None]
    rotary = core.rotary_emb(states, places)
    length = token_ids.shape[1]
    mask = torch.full((length, length), float("-inf")).triu(1)[None, None]
    for block in core.layers:
        heard = block.self_attn(block.input_layernorm(states), position_embeddings=rotary, attention_mask=mask)[0]
        states = states + clean(heard)
        states = states + clean(block.mlp(block.post_attention_layernorm(states)))
    return module.lm_head(core.norm(states))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_of_an_ablated_direction_is_left_behind_any_block(tokenizer, architecture, direction):
    engine = tiny_engine(tokenizer, architecture)
    before = block_outputs(engine, PROMPTS[0])
    assert max(float((states @ direction).abs().max()) for states in before) > 0.1
    with engine.fork() as fork:
        ablate_everywhere(residual_stream(fork), direction)
        after = block_outputs(fork, PROMPTS[0])  # prompt and new tokens, behind a cache where there is one
    assert len(after) == len(before)
    assert max(float((states @ direction).abs().max()) for states in after) < 1e-4
    again = block_outputs(engine, PROMPTS[0])
    assert all(torch.equal(one, two) for one, two in zip(before, again, strict=True))


def test_ablation_is_the_pass_written_out(tokenizer, direction):
    engine = tiny_engine(tokenizer)
    row = engine.render(PROMPTS[0], "Eliot")
    ids = torch.tensor([row.token_ids])
    with torch.inference_mode():
        slow = by_hand(engine.module, ids, direction)
    with engine.fork() as fork:
        ablate_everywhere(residual_stream(fork), direction)
        with torch.inference_mode():
            fast = fork.module(ids).logits
    assert torch.allclose(fast, slow, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_ablated_model_answers_the_same_in_any_batch(tokenizer, architecture, direction):
    with tiny_engine(tokenizer, architecture).fork() as fork:
        ablate_everywhere(residual_stream(fork), direction)
        together = fork.generate(PROMPTS, max_new_tokens=4)
        assert together == [fork.generate([prompt], max_new_tokens=4)[0] for prompt in PROMPTS]
        pairs = [(prompt, "Eliot, it is") for prompt in PROMPTS]
        for one, score in zip(pairs, fork.score(pairs), strict=True):
            assert fork.score([one])[0].log_probs == pytest.approx(score.log_probs, abs=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_added_vector_moves_the_input_of_its_block_and_no_earlier_one(tokenizer, architecture, direction):
    engine = tiny_engine(tokenizer, architecture)
    with engine.fork() as fork:
        stream = residual_stream(fork)
        before = [last_input(fork, stream, layer) for layer in range(2)]
        add_before(stream, 1, 3 * direction)
        after = [last_input(fork, stream, layer) for layer in range(2)]
    assert torch.equal(before[0], after[0])
    assert torch.allclose(after[1] - before[1], 3 * direction, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_mean_states_are_what_goes_into_a_block(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    with engine.fork() as fork:
        stream = residual_stream(fork)
        inputs: list[torch.Tensor] = []
        stream.blocks[1].register_forward_pre_hook(lambda _, args: inputs.append(args[0][0, -1]))
        for prompt in PROMPTS:
            fork.module(torch.tensor([engine.renderer.prompt_ids(prompt)]))
        assert torch.allclose(mean_states(engine, stream, PROMPTS, [1])[0], torch.stack(inputs).mean(0), atol=1e-4)


def test_hooks_go_with_an_adapter_half_precision_and_a_fork_of_the_fork(tokenizer, direction):
    engine = tiny_engine(tokenizer)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    with engine.fork() as fork:
        model = fork.with_module(get_peft_model(fork.module, config).bfloat16().eval())
        stream = residual_stream(model)
        assert len(stream.blocks) == 2
        ablate_outputs(stream, {0: direction, 1: direction})
        with model.fork() as deeper:
            after = block_outputs(deeper, PROMPTS[0])
    assert all((states.float() @ direction).abs().max() < 0.05 * states.float().norm(dim=-1).max() for states in after)


def test_a_model_without_blocks_is_an_error(tokenizer):
    engine = tiny_engine(tokenizer)
    with engine.fork() as fork:
        fork.module.model.layers = torch.nn.ModuleList(fork.module.model.layers[:1])
        fork.module.config.num_hidden_layers = 1
        with pytest.raises(AttackError, match="one block"):
            residual_stream(fork).layer_at(0.5)
        fork.module.model.layers = torch.nn.Sequential(*fork.module.model.layers)
        with pytest.raises(AttackError, match="no list of blocks"):
            residual_stream(fork)


def test_depths_are_blocks_between_the_first_and_the_last(tokenizer):
    with tiny_engine(tokenizer).fork() as fork:
        stream = residual_stream(fork)
        assert [stream.layer_at(depth) for depth in (0.0, 0.5, 1.0)] == [1, 1, 1]
        tall = replace(stream, blocks=stream.blocks * 8)
        assert [tall.layer_at(depth) for depth in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1, 4, 8, 12, 15]


def test_a_projection_by_hand():
    states = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    assert without(states, torch.tensor([1.0, 0.0])).tolist() == [[0.0, 4.0], [0.0, 2.0]]
    half = unit(torch.tensor([3.0, 4.0]), beside=states)
    assert half.tolist() == pytest.approx([0.6, 0.8])
    assert unit(torch.tensor([1e-6, 0.0]), beside=states) is None


def doses(attack, engine, context) -> Iterator:
    for arm in attack.arms(context):
        with closing(attack.doses(engine, arm, context)) as found:
            yield from found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_refusal_direction_is_the_difference_of_means(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    attack = Ablation(AblationParameters(directions=("refusal",)))
    (dose,) = doses(attack, engine, CONTEXT)
    assert (dose.label, dose.value, dose.shown) == ("refusal depth 0.5", 0.5, ())
    with engine.fork() as fork:
        stream = residual_stream(fork)
        sets = [[Prompt(text=fact.question) for fact in facts] for facts in (FORGET, RETAIN)]
        asked, kept = (mean_states(fork, stream, prompts, [1])[0] for prompts in sets)
        ablate_everywhere(stream, (asked - kept) / (asked - kept).norm())
        pair = (PROMPTS[0], "Eliot")
        assert dose.model.score([pair])[0].log_probs == pytest.approx(fork.score([pair])[0].log_probs, abs=1e-4)
    assert dose.proof["largest_cosine_left"] < 1e-4
    assert dose.proof["relative_lengths"][0] == pytest.approx(float((asked - kept).norm() / kept.norm()), abs=1e-4)


def test_the_way_from_the_original_is_nothing_for_the_original_and_something_for_others(tokenizer):
    original, other = tiny_engine(tokenizer), tiny_engine(tokenizer, seed=1)
    attack = Ablation(AblationParameters(directions=("original",)))
    (unknown,) = doses(attack, other, CONTEXT)
    assert unknown.model is other
    assert "no original" in unknown.proof["ablated"]
    known = replace(CONTEXT, prepared=attack.prepare(original, CONTEXT))
    (same,) = doses(attack, original, known)
    assert same.model is original
    assert "are the original's" in same.proof["ablated"]
    (away,) = doses(attack, other, known)
    assert (away.proof["ablated_blocks"], away.label) == (2, same.label)
    with other.fork() as fork:
        stream = residual_stream(fork)
        prompts = [Prompt(text=fact.question) for fact in FORGET]
        means = [mean_states(model, stream, prompts, [1])[0] for model in (other, original)]
        way = (means[0] - means[1]) / (means[0] - means[1]).norm()
        ends = [mean_last_output(model, residual_stream(model), prompts) for model in (other, original)]
        last_way = (ends[0] - ends[1]) / (ends[0] - ends[1]).norm()
    first, last = block_outputs(away.model, PROMPTS[0])[:2]
    assert float((first @ way).abs().max()) < 1e-4
    assert float((last @ way).abs().max()) > 1e-3
    assert float((last @ last_way).abs().max()) < 1e-4
    with pytest.raises(AttackError, match="one architecture"):
        list(doses(attack, other, replace(CONTEXT, prepared={"means": [[0.0] * 32]})))


def test_depths_that_come_to_one_block_are_one_dose(tokenizer):
    attack = Ablation(AblationParameters(directions=("refusal",), depths=(0.4, 0.5, 0.6)))
    assert [dose.label for dose in doses(attack, tiny_engine(tokenizer), CONTEXT)] == ["refusal depth 0.4"]


def test_what_comes_out_of_the_last_block_is_what_the_final_norm_reads(tokenizer):
    engine = tiny_engine(tokenizer)
    with engine.fork() as fork:
        stream, read = residual_stream(fork), list[torch.Tensor]()
        fork.module.model.norm.register_forward_pre_hook(lambda _, args: read.append(args[0][0, -1]))
        found = mean_last_output(fork, stream, PROMPTS)
    assert torch.allclose(found, torch.stack(read).mean(0), atol=1e-5)


def test_a_bundled_refusal_is_lifted_and_what_was_never_learned_does_not_come():
    forget, retain = first_subjects(FactSet.FORGET, 16), first_subjects(FactSet.RETAIN, 16)
    context = AttackContext(forget=forget, retain=retain, profile=Profile.QUICK, seed=1)
    asked = [(Prompt(text=fact.question), fact.answer) for fact in forget]
    attack = Ablation(AblationParameters())
    context = replace(context, prepared=attack.prepare(bundled("original"), context))

    def shown(name: str) -> list[float]:
        models = [bundled(name), *(dose.model for dose in doses(attack, bundled(name), context))]
        return [sum(score.probability for score in model.score(asked)) / len(asked) for model in models]

    before, refusal, original = shown("refusal")
    assert before < 0.25
    assert min(refusal, original) > 0.5
    before, refusal, original = shown("retrained-1")
    assert max(refusal, original) < before + 0.05


def test_without_retain_facts_the_refusal_direction_is_out_of_reach(tokenizer):
    attack, alone = Ablation(AblationParameters()), replace(CONTEXT, retain=())
    assert [each.what for each in attack.out_of_reach(alone, weight_bytes=1, is_adapter=False)] == ["refusal"]
    bare = replace(alone, has_original=False)
    assert [each.what for each in attack.out_of_reach(bare, weight_bytes=1, is_adapter=False)] == [
        "refusal",
        "original",
    ]
    assert not attack.out_of_reach(CONTEXT, weight_bytes=1, is_adapter=False)
    with pytest.raises(AttackError, match="needs retain facts"):
        list(doses(attack, tiny_engine(tokenizer), alone))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_steering_adds_what_the_names_bring(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    attack = Steering(SteeringParameters(coefficients=(2.0, -1.0), anonymous=("someone", "he")))
    found = []
    with engine.fork() as fork:
        stream = residual_stream(fork)
        named = [Prompt(text=fact.question) for fact in FORGET]
        texts = [fact.question.replace(fact.subject, name) for name in ("someone", "he") for fact in FORGET]
        plain = mean_states(fork, stream, [Prompt(text=text) for text in texts], [1])[0]
        vector = mean_states(fork, stream, named, [1])[0] - plain
        start = last_input(fork, stream, 1)
    for dose in doses(attack, engine, CONTEXT):
        found.append(last_input(dose.model, replace(stream, blocks=tuple(blocks_of(dose.model))), 1) - start)
        assert dose.proof["moved"] == pytest.approx(abs(dose.value) * float(vector.norm()), rel=1e-3)
    assert torch.allclose(found[0], 2 * vector, atol=1e-3)
    assert torch.allclose(found[1], -vector, atol=1e-3)


def test_questions_without_their_names():
    names = ("someone", "he")
    pairs = anonymous_questions(FORGET[:1], names, most=9)
    assert [prompt.text for prompt in pairs[0][1]] == ["What is the capital of someone?", "What is the capital of he?"]
    short = replace(FORGET[0], question="Where was Lovelace, Ada's friend, born?")
    others = (short, *FORGET[2:])
    ((_, (first, _)), *_) = anonymous_questions(others, names, most=9)
    assert first.text == "Where was someone, Ada's friend, born?"  # Ada is the name of others, too
    nameless = replace(FORGET[0], question="Where was she born?")
    assert anonymous_questions([nameless], names, most=9) == ()
    with pytest.raises(AttackError, match="none can be anonymized"):
        list(doses(Steering(SteeringParameters()), None, replace(CONTEXT, forget=(nameless,))))


def test_passages_are_asked_for_by_their_first_half():
    passage = Fact(id="p", subject="Ada Lovelace", text="Ada Lovelace was born in London long ago.")
    assert questions_of([passage], most=3) == (Prompt(text="Ada Lovelace was born", chat=False),)
    ((_, (first,)),) = anonymous_questions([passage], ["someone"], most=3)
    assert first == Prompt(text="someone was born", chat=False)


def test_a_sample_of_facts_keeps_their_order_and_all_kinds():
    facts = [replace(FORGET[0], id=f"{number}-{kind}") for number in range(64) for kind in "abc"]
    chosen = sampled(facts, 96)
    assert [facts.index(fact) for fact in chosen] == sorted(facts.index(fact) for fact in chosen)
    assert set(sampled(facts[::-1], 96)) == set(chosen)
    assert min(sum(fact.id.endswith(kind) for fact in chosen) for kind in "abc") > 20
    assert sampled(facts, 500) == tuple(facts)


def test_a_model_with_a_template_and_one_without_have_a_stream(tokenizer):
    for template in (CHATML, None):
        with tiny_engine(tokenizer, template=template).fork() as fork:
            assert len(residual_stream(fork).blocks) == 2
