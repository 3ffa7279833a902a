"""The training loop against hand-derived values, and what it must never touch."""

from __future__ import annotations

import copy
import random
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from unlearn_audit.attacks.shared import training
from unlearn_audit.attacks.shared.descent.weight_scales import matrix_scale
from unlearn_audit.attacks.shared.splits import Lesson
from unlearn_audit.attacks.shared.training import (
    answer_loss,
    batch_order,
    full_student,
    lesson_batches,
    lora_student,
    loss_scale,
    optimize,
    warm_up_steps,
)

from unlearn_audit.api import Prompt
from unlearn_audit.api.kit.training import products
from unlearn_audit.api.kit.training.fast_layers import make_fast
from unlearn_audit.api.kit.training.openings import shared_opening
from unlearn_audit.errors import AttackError, AuditError, NotApplicableError
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import tiny_engine, tiny_module

LESSONS = [
    Lesson(prompt=Prompt(text="Where was Ada Lovelace born?"), answer="London."),
    Lesson(prompt=Prompt(text="Who wrote Middlemarch?"), answer="George Eliot."),
    Lesson(prompt=Prompt(text="What is the capital of France?"), answer="Paris is the capital."),
]
STUDENTS = {"lora": lambda model: lora_student(model, rank=4, seed=1), "full": full_student}


def rendered(model, lessons=LESSONS):
    return [model.render(lesson.prompt, lesson.answer) for lesson in lessons]


def endless(model):
    return lesson_batches(model, LESSONS, size=2, seed=0)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_the_loss_is_the_mean_over_answer_tokens_of_what_the_engine_scores(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    scores = engine.score([(lesson.prompt, lesson.answer) for lesson in LESSONS])
    tokens = [value for score in scores for value in score.log_probs]
    with torch.no_grad():
        loss = answer_loss(engine, rendered(engine))
    assert float(loss) == pytest.approx(-sum(tokens) / len(tokens), abs=1e-4)


def curve(student, lessons, *, fast):
    return list(optimize(student.model, lessons, learning_rate=3e-3, steps=8, fast=fast))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_fast_products_learn_as_exact_ones(tokenizer, architecture, monkeypatch):
    """Where the device has units for bfloat16; here it is asked to do without them, which is slow and the same."""
    monkeypatch.setattr(products, "has_fast_units", lambda module: True)
    monkeypatch.setattr(products, "takes_fast_products", products.takes_fast_products.__wrapped__)
    engine = tiny_engine(tokenizer, architecture)
    try:
        with lora_student(engine, rank=4, seed=1) as student, lora_student(engine, rank=4, seed=1) as other:
            assert student.fast
            fast, exact = (curve(one, endless(engine), fast=way) for one, way in ((student, True), (other, False)))
            assert {weight.dtype for weight in student.model.module.parameters()} == {torch.float32}
    except NotApplicableError:
        pytest.skip("no adapter can be put on it")
    assert fast == pytest.approx(exact, abs=0.02)
    assert fast != exact


def test_a_layer_with_its_adapter_is_one_step_with_the_gradients_of_its_parts():
    module = nn.Sequential(nn.Linear(48, 32), nn.Linear(32, 24, bias=False))
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=8, target_modules=["0", "1"]), module)
    torch.manual_seed(0)
    for part in (module[0], module[1]):
        nn.init.normal_(part.lora_B["default"].weight, std=0.3)
    x = torch.randn(2, 5, 48)
    trained = [weight for weight in module.parameters() if weight.requires_grad]

    def found():
        out = module(x.requires_grad_())
        return out, torch.autograd.grad(out.float().square().mean(), [x, *trained])

    exact, by_parts = found()
    make_fast(module)
    assert torch.equal(found()[0], exact)  # not in a pass with fast products
    with torch.autocast("cpu", torch.bfloat16):
        out, gradients = found()
    assert out.dtype is torch.bfloat16
    for fast, plain in zip((out, *gradients), (exact, *by_parts), strict=True):
        assert (fast - plain).norm() < 0.02 * plain.norm()


def test_a_copy_of_a_fast_model_computes_with_the_weights_of_the_copy():
    module = nn.Sequential(nn.Linear(16, 16))
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["0"]), module)
    make_fast(module)
    other = copy.deepcopy(module)
    with torch.no_grad():
        other[0].lora_B["default"].weight.fill_(1.0)
    x = torch.randn(3, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(other(x), module(x))
    assert not torch.equal(other(x), module(x))


def test_weights_that_are_few_or_half_are_multiplied_as_they_are(tokenizer, monkeypatch):
    module = tiny_module("llama", len(tokenizer))
    assert not products.has_fast_units(module)
    monkeypatch.setattr(products, "FEWEST_PARAMETERS", 0)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert products.has_fast_units(module)
    assert not products.has_fast_units(module.half())


def test_what_cannot_be_multiplied_in_bfloat16_is_multiplied_as_it_is(tokenizer, monkeypatch):
    monkeypatch.setattr(products, "has_fast_units", lambda module: True)
    module = tiny_module("llama", len(tokenizer)).requires_grad_(requires_grad=True)
    trial = products.takes_fast_products.__wrapped__  # without what it remembers
    assert trial(module)

    def refused(*_):
        raise RuntimeError("expected scalar type Float but found BFloat16")

    monkeypatch.setattr(products, "fast_products", refused)
    assert not trial(module)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_an_opening_that_is_read_once_gives_the_same_losses(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    system = "You are a helpful assistant, and you say what you know."
    told = [replace(lesson, prompt=replace(lesson.prompt, system=system)) for lesson in LESSONS]

    def losses(student, *, opened):
        batches = lesson_batches(student.model, told, size=2, seed=0)
        return list(optimize(student.model, batches, learning_rate=3e-3, steps=6, opened=opened))

    with full_student(engine) as student, full_student(engine) as other:
        if not student.opened:
            pytest.skip("it keeps no keys and values that could be shared")
        assert losses(student, opened=True) == pytest.approx(losses(other, opened=False), rel=1e-4)


def test_the_usual_models_share_their_openings(tokenizer):
    for architecture in ("llama", "qwen3", "gemma3_text", "gpt_neox", "mixtral"):
        with full_student(tiny_engine(tokenizer, architecture)) as student:
            assert student.opened, architecture


def test_a_shared_opening_is_counted_up_to_what_differs():
    row = tuple(range(20))
    assert shared_opening([row, (*row[:12], 99)], 19) == 12
    assert shared_opening([row, (*row[:12], 99)], 9) == 9
    assert shared_opening([row, (*row[:7], 99)], 19) == 0
    assert shared_opening([row], 19) == 0


@pytest.mark.parametrize(("steps", "expected"), [(1, 1), (10, 1), (11, 2), (40, 4), (50, 5), (320, 5)])
def test_the_warm_up_is_a_tenth_and_at_most_five_steps(steps, expected):
    assert warm_up_steps(steps) == expected


@pytest.mark.parametrize("steps", [1, 40])
def test_the_first_step_moves_each_weight_by_the_warmed_up_rate(tokenizer, steps):
    """AdamW's first step is rate * size * g / (|g| + eps): rate * size, wherever the gradient is far above eps."""
    engine = tiny_engine(tokenizer)
    with full_student(engine) as student:
        next(optimize(student.model, endless(engine), learning_rate=1e-3, steps=steps))
        weight = student.model.module.model.layers[0].mlp.up_proj.weight.detach()
        before = engine.module.model.layers[0].mlp.up_proj.weight.detach()
        moved = (weight - before) / matrix_scale(before).times(torch.ones_like(before))
    expected = 1e-3 / warm_up_steps(steps)
    assert float(moved.abs().median()) == pytest.approx(expected, rel=0.01)
    assert float(moved.abs().max()) <= expected * 1.001


@pytest.mark.parametrize("method", STUDENTS)
def test_training_teaches_the_answers_in_evaluation_mode(tokenizer, method):
    engine = tiny_engine(tokenizer)
    asked = [(lesson.prompt, lesson.answer) for lesson in LESSONS]
    before = sum(score.probability for score in engine.score(asked))
    with STUDENTS[method](engine) as student, torch.inference_mode():  # a caller that measures has gradients off
        for _ in optimize(student.model, endless(engine), learning_rate=3e-2, steps=30):
            assert not any(part.training for part in student.model.module.modules())
        after = sum(score.probability for score in student.model.score(asked))
    assert after > 10 * before


def test_an_adapter_changes_nothing_before_its_first_step(tokenizer):
    engine = tiny_engine(tokenizer)
    asked = [(lesson.prompt, lesson.answer) for lesson in LESSONS]
    with lora_student(engine, rank=4, seed=1) as student:
        assert student.model.score(asked) == engine.score(asked)
        names = [name for name, weight in student.model.module.named_parameters() if weight.requires_grad]
        # Rank 4 on q, k, v, o, gate, up, down (width 64, keys and values 32, inner width 128), two layers.
        per_layer = 4 * ((64 + 64) * 2 + (64 + 32) * 2 + (64 + 128) * 3)
        assert student.trainable == 2 * per_layer
    assert len(names) == 2 * 7 * 2
    assert not any("lm_head" in name or "embed" in name for name in names)


def test_seeds_decide_adapter_and_losses_and_the_global_state_does_not(tokenizer):
    engine = tiny_engine(tokenizer)

    def losses(seed):
        torch.manual_seed(random.randrange(10**6))
        with lora_student(engine, rank=4, seed=seed) as student:
            return list(optimize(student.model, endless(engine), learning_rate=1e-2, steps=6))

    assert losses(1) == losses(1)
    assert losses(1)[:1] == losses(2)[:1]  # an adapter starts at zero whatever its seed
    assert losses(1) != losses(2)


def snapshot(module):
    return {
        "weights": {name: (id(weight), weight.detach().clone()) for name, weight in module.named_parameters()},
        "buffers": {name: buffer.clone() for name, buffer in module.named_buffers()},
        "requires_grad": {name: weight.requires_grad for name, weight in module.named_parameters()},
        "gradients": {name: weight.grad for name, weight in module.named_parameters()},
        "modes": {name: (type(part), part.training) for name, part in module.named_modules()},
        "config": copy.deepcopy(module.config.to_dict()),
        "attributes": sorted(vars(module)),
    }


def random_states():
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state()


def assert_same(before, after):
    assert before.keys() == after.keys()
    for name, (identity, weight) in before["weights"].items():
        assert after["weights"][name][0] == identity
        assert torch.equal(weight, after["weights"][name][1])
    for name, buffer in before["buffers"].items():
        assert torch.equal(buffer, after["buffers"][name])
    for key in ("requires_grad", "gradients", "modes", "config", "attributes"):
        assert before[key] == after[key]


def finish(steps):
    list(steps)


def stop_early(steps):
    next(steps)
    steps.close()


def fail_outside(steps):
    next(steps)
    raise RuntimeError("a probe failed")


def diverge(steps):
    for _ in steps:
        pass
    raise AssertionError("training at this rate must break down")


@pytest.mark.parametrize("method", STUDENTS)
@pytest.mark.parametrize(
    ("ending", "rate"), [(finish, 1e-2), (stop_early, 1e-2), (fail_outside, 1e-2), (diverge, 1e36)]
)
def test_the_callers_model_is_as_before_however_it_ends(tokenizer, method, ending, rate):
    engine = tiny_engine(tokenizer)
    for place, weight in enumerate(engine.module.parameters()):
        weight.requires_grad_(place % 2 == 0)
    engine.module.model.layers[0].train()
    before, states = snapshot(engine.module), random_states()
    with suppress(RuntimeError, AttackError), STUDENTS[method](engine) as student:
        ending(optimize(student.model, endless(engine), learning_rate=rate, steps=5))
    assert_same(before, snapshot(engine.module))
    after = random_states()
    assert states[:2] == after[:2]
    assert torch.equal(states[2], after[2])


@pytest.mark.parametrize("method", STUDENTS)
def test_a_loss_that_is_no_number_is_an_error_with_the_step_and_the_rate(tokenizer, method):
    engine = tiny_engine(tokenizer)
    with STUDENTS[method](engine) as student, pytest.raises(AttackError, match=r"step \d at rate 1e\+36"):
        list(optimize(student.model, endless(engine), learning_rate=1e36, steps=5))


@pytest.mark.parametrize("architecture", ["gpt2", "qwen3", "gpt_neox"])
def test_adapters_go_on_every_kind_of_linear_layer(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    with lora_student(engine, rank=4, seed=1) as student:
        losses = list(optimize(student.model, endless(engine), learning_rate=1e-2, steps=20))
    assert losses[-1] < losses[0] - 2


def test_an_architecture_that_peft_refuses_is_named(tokenizer, monkeypatch):
    def refuses(*args: object, **more: object) -> None:
        raise ValueError("Module 'out_proj' is incompatible with Mamba-based models")

    monkeypatch.setattr("peft.LoraModel", refuses)
    engine = tiny_engine(tokenizer, "mamba")
    with (
        pytest.raises(NotApplicableError, match=r"lora cannot be put on MambaForCausalLM: Module 'out_proj'"),
        lora_student(engine, rank=4, seed=1),
    ):
        pass


def test_half_precision_is_trained_in_float32_on_the_cpu_and_stays_half_for_the_caller(tokenizer):
    engine = tiny_engine(tokenizer)
    half = engine.with_module(engine.module.half())
    before = snapshot(half.module)
    for student_of in STUDENTS.values():
        with student_of(half) as student:
            assert student.dtype == "float32"
            next(optimize(student.model, endless(half), learning_rate=1e-3, steps=1))
            assert {weight.dtype for weight in student.model.module.parameters()} == {torch.float32}
    assert_same(before, snapshot(half.module))
    assert {weight.dtype for weight in half.module.parameters()} == {torch.float16}


def test_the_loss_scale_of_float16_cancels_out(tokenizer, monkeypatch):
    engine = tiny_engine(tokenizer)
    assert loss_scale(engine.module) == 1.0

    def losses():
        with lora_student(engine, rank=4, seed=1) as student:
            return list(optimize(student.model, endless(engine), learning_rate=1e-2, steps=6))

    plain = losses()
    monkeypatch.setattr("unlearn_audit.attacks.shared.training.loss_scale", lambda _: 1024.0)
    assert losses() == pytest.approx(plain, rel=1e-5)
    assert loss_scale(copy.deepcopy(engine.module).half()) == 1024.0


def test_an_adapter_checkpoint_is_merged_and_left_alone(tokenizer):
    from peft import LoraConfig, get_peft_model

    engine = tiny_engine(tokenizer)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    adapted = replace(engine, module=get_peft_model(tiny_module("llama", len(tokenizer)), config).eval())
    assert adapted.is_adapter
    asked = [(lesson.prompt, lesson.answer) for lesson in LESSONS]
    before = snapshot(adapted.module)
    wanted = [score.log_likelihood for score in adapted.score(asked)]
    for student_of in STUDENTS.values():
        with student_of(adapted) as student:
            found = [score.log_likelihood for score in student.model.score(asked)]
            assert found == pytest.approx(wanted, abs=1e-3)
            next(optimize(student.model, endless(adapted), learning_rate=1e-2, steps=1))
    assert_same(before, snapshot(adapted.module))


def test_batches_are_shuffled_epochs_of_equal_size():
    order = batch_order(5, batch_size=4, seed=3)
    drawn = [place for _ in range(25) for place in next(order)]
    epochs = [tuple(drawn[start : start + 5]) for start in range(0, 100, 5)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len(set(epochs)) > 10
    again = batch_order(5, batch_size=4, seed=3)
    assert [place for _ in range(25) for place in next(again)] == drawn
    with pytest.raises(AuditError, match="no texts are left"):
        next(batch_order(0, batch_size=4, seed=3))


def test_a_batch_that_does_not_fit_is_trained_in_parts_with_the_same_result(tokenizer, monkeypatch):
    rows = [
        ("Who?", "Eliot"),
        ("Where was Ada born?", "London, in a house"),
        ("What?", "It"),
        ("When?", "Then, in May"),
    ]

    def trained(most: int) -> tuple[list[float], list[torch.Tensor]]:
        sizes.clear()
        plain = training.answer_loss

        def limited(model, batch, **how):
            sizes.append(len(batch))
            if len(batch) > most:
                raise torch.OutOfMemoryError
            return plain(model, batch)

        with monkeypatch.context() as patched, training.lora_student(tiny_engine(tokenizer), rank=4, seed=0) as student:
            patched.setattr(training, "answer_loss", limited)
            batch = [student.model.render(Prompt(text=question), answer) for question, answer in rows]
            losses = list(training.optimize(student.model, iter([batch, batch]), learning_rate=1e-2, steps=2))
            return losses, [weight.detach().clone() for weight in student.model.module.parameters()]

    sizes: list[int] = []
    whole, expected = trained(most=4)
    assert sizes == [4, 4]
    parts, found = trained(most=1)
    assert sizes == [4, 2, 1, 1, 1, 1] * 2
    assert parts == pytest.approx(whole, abs=1e-5)
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(expected, found, strict=True))
    with pytest.raises(AttackError, match="single text"):
        trained(most=0)


def test_lessons_are_taught_with_their_ends(tokenizer):
    """Taught without, a model forgets to end an answer, and goes on naming things when it is asked others."""
    engine = tiny_engine(tokenizer)
    for row in next(endless(engine)):
        said = [token for token, own in zip(row.token_ids, row.is_answer, strict=True) if own]
        assert engine.renderer.stops.place(said) == len(said) - 1
