"""Noise on weights: its size, its draw, and that nothing else moves."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from unlearn_audit.attacks.noise import Noise, NoiseParameters
from unlearn_audit.attacks.shared.descent.weight_scales import sizes_in
from unlearn_audit.attacks.shared.linear_layers import linear_layers

from unlearn_audit.api import AttackContext, Profile
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import tiny_engine

CONTEXT = AttackContext(forget=(), retain=(), profile=Profile.QUICK, seed=3)


def noisy_weights(engine, context=CONTEXT, **parameters):
    attack = Noise(NoiseParameters(**parameters))
    (arm,) = attack.arms(context)
    with closing(attack.doses(engine, arm, context)) as doses:
        return [(dose.label, dose.value, state(dose.model), dose.proof) for dose in doses]


def state(model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.module.state_dict().items()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_noise_has_its_size_in_every_matrix_and_nowhere_else(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    before = state(engine)
    found = noisy_weights(engine, sigmas=(0.1, 0.4))
    assert [(label, value) for label, value, *_ in found] == [("sigma 0.1", 0.1), ("sigma 0.4", 0.4)]
    (_, _, weak, _), (_, _, strong, proof) = found
    changed = {name for name, value in before.items() if not torch.equal(value, strong[name])}
    assert changed == {f"{layer.path}.weight" for layer in linear_layers(engine.module)}
    for name in changed:
        moved = (strong[name] - before[name]) / before[name].square().mean().sqrt()
        narrow = min(moved.shape) < 16  # the sizes of short rows differ by chance
        assert float(moved.std()) == pytest.approx(0.4, rel=0.6 if narrow else 0.25)
        assert abs(float(moved.mean())) < (0.2 if narrow else 0.05)
        moved = strong[name] - before[name]
        assert torch.allclose(moved / 4, weak[name] - before[name], atol=1e-5)
    assert proof["relative_error"] == pytest.approx(0.4, rel=0.15)  # sizes are of rows and columns
    after = state(engine)
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_every_role_meets_the_same_draw_and_another_seed_another(tokenizer):
    one, two = tiny_engine(tokenizer, seed=0), tiny_engine(tokenizer, seed=1)
    names = [f"{layer.path}.weight" for layer in linear_layers(one.module)]

    def draws(engine, context=CONTEXT):
        before, (_, _, after, _) = state(engine), noisy_weights(engine, context, sigmas=(0.2,))[0]
        scale = {name: sizes_in(before[name]) for name in names}
        return {name: (after[name] - before[name]) / scale[name] for name in names}

    first, second, other = draws(one), draws(two), draws(one, replace(CONTEXT, seed=4))
    assert all(torch.allclose(first[name], second[name], atol=1e-4) for name in names)
    assert not any(torch.allclose(first[name], other[name], atol=1e-2) for name in names)
    assert not torch.allclose(first[names[0]], first[names[7]], atol=1e-2)


@pytest.mark.parametrize("wrong", [{"sigmas": (0.2, 0.1)}, {"sigmas": ()}, {"sigmas": (0.0,)}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        NoiseParameters(**wrong)
