"""The frugal way of training all weights: the numbers of the plain one, and little of it in memory at once."""

from __future__ import annotations

import pytest
import torch
from unlearn_audit.attacks.shared.descent import checkpointing
from unlearn_audit.attacks.shared.descent.moments import Packed, moment_of
from unlearn_audit.attacks.shared.descent.optimizers import Descent, Optimizer, orthogonalized, rounded_at_random
from unlearn_audit.attacks.shared.splits import Lesson
from unlearn_audit.attacks.shared.training import BrokeDownError, full_student, lesson_batches, optimize

from unlearn_audit.api import Prompt
from unlearn_audit.testing.models import tiny_engine

LESSONS = [
    Lesson(prompt=Prompt(text="Where was Ada Lovelace born?"), answer="London."),
    Lesson(prompt=Prompt(text="Who wrote Middlemarch?"), answer="George Eliot."),
    Lesson(prompt=Prompt(text="What is the capital of France?"), answer="Paris is the capital."),
]
TOLERANCE = 0.06
"""Nats; a step changes the loss by ten times that."""


def trained(engine, *, frugal, optimizer=Optimizer.ADAMW, steps=8, rate=3e-3):
    with full_student(engine, frugal=frugal) as student:
        batches = lesson_batches(student.model, LESSONS, size=2, seed=0)
        losses = list(
            optimize(
                student.model, batches, learning_rate=rate, steps=steps, optimizer=optimizer, frugal=student.frugal
            )
        )
        return losses, {weight.dtype for weight in student.model.module.parameters()}


@pytest.mark.parametrize(
    ("architecture", "optimizer"),
    [("llama", one) for one in Optimizer] + [("gpt2", Optimizer.ADAMW), ("mixtral", Optimizer.ADAMW)],
)
def test_a_training_goes_the_same_way_frugally(tokenizer, architecture, optimizer):
    engine = tiny_engine(tokenizer, architecture)
    before = {name: weight.clone() for name, weight in engine.module.named_parameters()}
    plain, whole = trained(engine, frugal=False, optimizer=optimizer)
    frugal, half = trained(engine, frugal=True, optimizer=optimizer)
    assert plain[-1] < plain[0] - 1
    # The muon coefficients push singular values up and down: half precision of its gradients shows most.
    tolerance = TOLERANCE * (5 if optimizer is Optimizer.MUON else 1)
    assert frugal == pytest.approx(plain, abs=tolerance)
    assert (whole, half) == ({torch.float32}, {torch.bfloat16})
    after = dict(engine.module.named_parameters())
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_no_more_than_one_gradient_is_held_and_blocks_are_run_again_on_the_way_back(tokenizer, monkeypatch):
    held, runs = [], []

    class Watched(Descent):
        def take(self, weight, factor):
            held.append(sum(one.grad is not None for one in self.weights))
            super().take(weight, factor)

    def counted(kind, real=checkpointing._checkpointed):
        class Counted(kind):
            def forward(self, *args, **named):
                runs.append(torch.is_grad_enabled())
                return super().forward(*args, **named)

        return real(Counted)

    monkeypatch.setattr("unlearn_audit.attacks.shared.training.Descent", Watched)
    monkeypatch.setattr(checkpointing, "_checkpointed", counted)
    trained(tiny_engine(tokenizer), frugal=True, steps=1)
    weights = len(list(tiny_engine(tokenizer).module.parameters()))
    assert held == [1] * weights
    assert runs.count(True) == 2 * 2 * 2  # two passes over two blocks, each forward and once more on the way back


def test_a_step_that_breaks_down_moves_nothing(tokenizer, monkeypatch):
    engine = tiny_engine(tokenizer)
    engine.module.model.norm.weight.data.fill_(float("inf"))
    with full_student(engine, frugal=True) as student:
        before = [weight.clone() for weight in student.model.module.parameters()]
        batches = lesson_batches(student.model, LESSONS, size=2, seed=0)
        with pytest.raises(BrokeDownError, match=r"step 1 at rate 0\.01"):
            next(optimize(student.model, batches, learning_rate=1e-2, steps=2, frugal=True))
        after = list(student.model.module.parameters())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_rounding_at_random_takes_one_of_two_neighbours_and_is_right_in_the_mean():
    values = torch.full((100_000,), 1.0 + 1 / 512)  # a quarter of the way from 1 to the next number in bfloat16
    found = rounded_at_random(values, torch.Generator().manual_seed(0))
    assert set(found.float().tolist()) == {1.0, 1.0 + 1 / 128}
    assert float(found.float().mean()) == pytest.approx(1.0 + 1 / 512, abs=2e-4)
    assert torch.equal(rounded_at_random(-values, torch.Generator().manual_seed(0)), -found)


@pytest.mark.parametrize("signed", [True, False])
def test_a_packed_moment_is_what_was_written_within_a_few_hundredths_and_root_moments_are_never_zero(signed):
    values = torch.randn(64, 256, generator=torch.Generator().manual_seed(0)) * torch.logspace(-6, 0, 64)[:, None]
    values = values if signed else values.abs()
    moment = moment_of(values, packed=True, signed=signed)
    assert isinstance(moment, Packed)
    assert not moment.read().any()
    moment.write(values)
    found = moment.read()
    far = (found - values).abs().mean(1) / values.abs().mean(1)
    assert float(far.max()) < 0.03
    moment.write(torch.zeros_like(values).index_fill_(0, torch.tensor([0]), 1.0))
    assert bool((moment.read()[0] > 0.99).all())
    if not signed:
        moment.write(torch.cat([torch.ones(64, 1), torch.zeros(64, 255)], dim=1))
        assert float(moment.read().min()) > 0


def test_small_tensors_are_kept_whole():
    assert not isinstance(moment_of(torch.zeros(4095), packed=True, signed=True), Packed)


@pytest.mark.parametrize("shape", [(48, 16), (16, 48), (3, 16, 48)])
def test_orthogonalized_matrices_have_like_singular_values_and_the_same_directions(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalized(matrix))
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert float((left.mT @ orthogonalized(matrix) @ right.mT).diagonal(dim1=-2, dim2=-1).min()) > 0.6


def test_a_large_tensor_is_moved_by_rows_with_the_same_result(tokenizer, monkeypatch):
    whole, _ = trained(tiny_engine(tokenizer), frugal=False, steps=4)
    monkeypatch.setattr("unlearn_audit.attacks.shared.descent.optimizers.PIECE", 1000)
    rows, _ = trained(tiny_engine(tokenizer), frugal=False, steps=4)
    assert rows == pytest.approx(whole, abs=1e-5)


def test_a_copy_of_a_frugal_model_runs_its_own_weights(tokenizer):
    """A closure over the block would run the weights of the model that was copied, whatever an attack does to them."""
    pairs = [lesson.pair for lesson in LESSONS]
    with full_student(tiny_engine(tokenizer, "llama"), frugal=True) as student:
        before = student.model.score(pairs)
        with student.model.fork(copy_weights=True) as copy, torch.no_grad():
            for name, weight in copy.module.named_parameters():
                if "mlp" in name:
                    weight.mul_(-30)
            assert copy.score(pairs) != before
        assert student.model.score(pairs) == before
