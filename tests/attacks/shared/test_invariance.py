"""A checkpoint that is written otherwise and computes the same meets the same attack."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from unlearn_audit.attacks.noise import noisy
from unlearn_audit.attacks.pruning.attack import without_smallest
from unlearn_audit.attacks.shared.descent.optimizers import Optimizer
from unlearn_audit.attacks.shared.descent.weight_scales import matrix_scale, norm_gains, scales_of
from unlearn_audit.attacks.shared.edited_weights import edited
from unlearn_audit.attacks.shared.splits import Lesson
from unlearn_audit.attacks.shared.training import full_student, lesson_batches, lora_student, optimize

from tests.attacks.shared.rewrites import REWRITES
from unlearn_audit.api import Prompt
from unlearn_audit.models.engine import Engine
from unlearn_audit.testing.models import tiny_engine

LESSONS = [
    Lesson(prompt=Prompt(text="Where was Ada Lovelace born?"), answer="London."),
    Lesson(prompt=Prompt(text="Who wrote Middlemarch?"), answer="George Eliot."),
]
HEADS = 4
TRAININGS: dict[str, tuple[Callable[[Engine], object], Optimizer]] = {
    "lora": (lambda model: lora_student(model, rank=4, seed=1), Optimizer.ADAMW),
    "full": (full_student, Optimizer.ADAMW),
    "sgd": (full_student, Optimizer.SGD),
    "muon": (full_student, Optimizer.MUON),
    "frugal": (partial(full_student, frugal=True), Optimizer.ADAMW),
}


@pytest.fixture(scope="module")
def plain(tokenizer) -> Engine:
    """A tiny model with as many keys as queries, and norms that are not all ones."""
    engine = tiny_engine(tokenizer)
    config = copy.deepcopy(engine.module.config)
    config.num_key_value_heads, config.tie_word_embeddings, config.rms_norm_eps = HEADS, False, 1e-12
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = type(engine.module)(config).eval().requires_grad_(requires_grad=False)
        for name, weight in module.named_parameters():
            if "norm" in name:
                weight.data.uniform_(0.5, 2.0)
            elif "layers" in name:
                weight.data.mul_(6.0)  # to the usual size
    return engine.with_module(module)


@pytest.fixture(scope="module", params=sorted(REWRITES))
def rewritten(request, plain) -> Engine:
    """The same model written otherwise."""
    module = copy.deepcopy(plain.module)
    module.load_state_dict(REWRITES[request.param](plain.module.state_dict(), HEADS))
    engine = plain.with_module(module)
    assert asked(engine) == pytest.approx(asked(plain), rel=1e-3)
    return engine


def asked(model) -> list[float]:
    return [score.log_likelihood for score in model.score([(one.prompt, one.answer) for one in LESSONS])]


def losses(model: Engine, training: str, rate: float = 1e-2) -> list[float]:
    student_of, optimizer = TRAININGS[training]
    with student_of(model) as student:
        batches = lesson_batches(student.model, LESSONS, size=2, seed=0)
        frugal = student.frugal
        found = optimize(student.model, batches, learning_rate=rate, steps=6, optimizer=optimizer, frugal=frugal)
        return list(found)


QUICK = ("lora", "full", "muon")


@pytest.mark.parametrize(
    "training", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in TRAININGS]
)
def test_a_training_goes_the_same_way(plain, rewritten, training, request):
    permuted = "permuted" in request.node.callspec.id
    expected, found = losses(plain, training), losses(rewritten, training)
    assert expected[-1] < expected[0] - 0.1
    # An adapter's first draw is not permuted along: another draw, not another attack. Half precision rounds each
    # way of writing in another place.
    tolerance = 0.25 if permuted and training == "lora" else 0.05 if training == "frugal" else 0.02
    assert found == pytest.approx(expected, abs=tolerance * expected[0])


def test_noise_and_pruning_do_the_same(plain, rewritten, request):
    changes = {
        "noise": partial(noisy, sigma=2.0, seed=0),
        "pruning": partial(without_smallest, share=0.7),
    }
    for name, change in changes.items():
        if name == "noise" and "permuted" in request.node.callspec.id:
            continue  # the draw is not permuted along
        with edited(plain, change) as (one, _), edited(rewritten, change) as (other, _):
            assert asked(one) != pytest.approx(asked(plain), rel=1e-2), name
            assert asked(other) == pytest.approx(asked(one), rel=5e-3), name


def written_as_an_adapter(plain) -> tuple[Engine, Engine]:
    """A checkpoint that is a base with an adapter, and the same merged."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adapted = plain.with_module(get_peft_model(copy.deepcopy(plain.module), config).eval())
    with adapted.merged() as merged:
        return adapted, plain.with_module(copy.deepcopy(merged.module))


def widened(plain) -> tuple[Engine, Engine]:
    """A checkpoint in bfloat16, and the same in float32."""
    narrow = copy.deepcopy(plain.module).bfloat16()
    return plain.with_module(narrow), plain.with_module(copy.deepcopy(narrow).float())


@pytest.mark.parametrize("written", [written_as_an_adapter, widened])
@pytest.mark.parametrize("training", ["lora", "full"])
def test_a_training_goes_the_same_way_in_an_adapter_or_merged_and_narrow_or_wide(plain, written, training):
    one, other = (losses(model, training) for model in written(plain))
    assert other[-1] < other[0] - 0.1
    assert one == pytest.approx(other, abs=0.02 * other[0])


@pytest.mark.parametrize("written", [written_as_an_adapter, widened])
@pytest.mark.parametrize(
    "change", [partial(noisy, sigma=2.0, seed=0), partial(without_smallest, share=0.7)], ids=["noise", "pruning"]
)
def test_noise_and_pruning_do_the_same_in_an_adapter_or_merged_and_narrow_or_wide(plain, written, change):
    one, other = written(plain)
    with edited(one, change) as (first, _), edited(other, change) as (second, _):
        assert asked(second) != pytest.approx(asked(other), rel=1e-2)
        assert asked(first) == pytest.approx(asked(second), rel=2e-2)


def test_a_wider_dtype_changes_no_scale(plain):
    weight = plain.module.model.layers[0].mlp.up_proj.weight.to(torch.bfloat16)
    narrow, wide = matrix_scale(weight), matrix_scale(weight.double())
    assert torch.allclose(narrow.row, wide.row.float())
    assert torch.allclose(narrow.column, wide.column.float())


def test_sizes_follow_any_factors_of_rows_and_columns():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(7, 3, 8, 6, generator=generator)[0]
    rows, columns = (
        torch.rand(3, 8, 1, generator=generator) * 100 + 0.01,
        torch.rand(3, 1, 6, generator=generator) + 0.01,
    )
    ones = torch.ones_like(weight)
    before, after = matrix_scale(weight).times(ones), matrix_scale(weight * rows * columns).times(ones)
    assert torch.allclose(after, before * rows * columns, rtol=1e-4)


def test_a_weight_of_usual_size_has_size_one_and_zeros_have_that_of_the_rest():
    weight = torch.randn(512, 256, generator=torch.Generator().manual_seed(0)) / 16
    sizes = matrix_scale(weight).times(torch.ones_like(weight))
    assert float(sizes.log().mean().exp()) == pytest.approx(1.0, rel=0.02)
    weight[:10] = 0
    rows = matrix_scale(weight).times(torch.ones_like(weight)).log().mean(1).exp()
    assert float(rows[:10].mean()) == pytest.approx(1.0, rel=0.05)
    assert float(matrix_scale(torch.zeros(4, 4)).times(torch.ones(4, 4)).mean()) == 1.0


def test_every_parameter_that_trains_has_a_scale(tokenizer):
    for architecture in ("llama", "gpt2", "mamba", "qwen3", "gpt_neox"):
        with full_student(tiny_engine(tokenizer, architecture)) as student:
            scales = scales_of(student.model.module)
            for name, weight in student.model.module.named_parameters():
                moved = scales[weight].times(torch.ones_like(weight))
                assert moved.shape == weight.shape, (architecture, name)
                assert bool((torch.isfinite(moved) & (moved > 0)).all()), (architecture, name)


def test_a_norm_whose_zero_stands_for_one_is_told_by_what_it_does():
    from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    gemma, llama = Gemma2RMSNorm(8), LlamaRMSNorm(8)
    assert torch.equal(norm_gains(gemma), torch.ones(8))
    assert torch.equal(norm_gains(llama), torch.ones(8))
    assert norm_gains(torch.nn.Linear(8, 8)) is None
