"""Attacks meet every kind of architecture: own linear layers, weights read in passing, experts, no attention."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast
from unlearn_audit.attacks.pruning.snip import snip_scores
from unlearn_audit.attacks.quantization.formats import Quantizer
from unlearn_audit.attacks.quantization.with_bitsandbytes import VALUES, quantize_with_bitsandbytes
from unlearn_audit.attacks.shared.linear_layers import weight_matrices
from unlearn_audit.attacks.shared.residual_stream import residual_stream
from unlearn_audit.attacks.shared.training import lora_student, optimize
from unlearn_audit.attacks.soft_prompt import descend, starting_rows

from benchmarks.architectures.__main__ import tried
from unlearn_audit.api import NotApplicableError, Prompt
from unlearn_audit.models.engine import Engine
from unlearn_audit.testing.architectures import CONFIGS
from unlearn_audit.testing.models import tiny_engine, tiny_tokenizer

FEW = ("falcon", "mamba", "gpt_oss", "rwkv", "recurrent_gemma", "jamba")
QUESTION, ANSWER = Prompt(text="Who wrote Middlemarch?"), "George Eliot."


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


@pytest.fixture(scope="module", params=FEW)
def engine(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Engine:
    return tiny_engine(tokenizer, request.param)


def rounded(engine: Engine, quantizer: Quantizer) -> dict[str, Any]:
    with engine.fork() as fork:
        return quantize_with_bitsandbytes(fork, quantizer, None)


def block_share(engine: Engine) -> float:
    """The share of all parameters that stands in matrices which the attacks on weights reach."""
    reached = sum(layer.weight.numel() for layer in weight_matrices(engine.module))
    return reached / sum(weight.numel() for weight in engine.module.parameters())


@pytest.mark.parametrize("quantizer", [Quantizer.NF4, Quantizer.INT8])
def test_every_matrix_of_the_blocks_is_rounded_and_the_model_still_runs(engine: Engine, quantizer: Quantizer) -> None:
    proof = rounded(engine, quantizer)
    assert proof["share_of_parameters"] == pytest.approx(block_share(engine), abs=1e-4)
    assert proof["share_of_parameters"] > 0.5
    assert "kernels" not in proof


def test_what_a_model_reads_without_calling_it_holds_the_values_of_the_codes(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    expected = {"llama": 0, "falcon": 8, "mamba": 2, "mixtral": 4}  # all; `dt_proj` of two blocks; two stacks of two
    for name, count in expected.items():
        kinds = rounded(tiny_engine(tokenizer, name), Quantizer.NF4)["layer_types"]
        assert sum(many for kind, many in kinds.items() if kind.startswith(VALUES)) == count, name


def test_a_model_that_breaks_on_the_library_s_layers_computes_with_their_values(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlearn_audit.attacks.quantization.with_bitsandbytes._called", lambda _: _All())
    engine = tiny_engine(tokenizer, "mamba")
    with engine.fork() as fork:
        proof = quantize_with_bitsandbytes(fork, Quantizer.NF4, None)
        assert str(proof["kernels"]).startswith("not used, only the values: RuntimeError")
        values = [len(torch.unique(layer.weight[0, :64])) for layer in weight_matrices(fork.module)]
        fork.score([(QUESTION, ANSWER)])
    assert max(values) <= 2**4


class _All(frozenset[str]):
    """Everything was called."""

    def __contains__(self, _: object) -> bool:
        return True


def trained(engine: Engine) -> list[float]:
    with lora_student(engine, rank=2, seed=0) as student:
        rows = repeat([student.model.render(QUESTION, ANSWER)])
        return list(optimize(student.model, rows, learning_rate=1e-2, steps=3))


def prompted(engine: Engine) -> list[float]:
    with engine.with_soft_prompt(starting_rows(engine, 2)) as fork:
        return list(islice(descend(fork, repeat([fork.render(QUESTION, ANSWER)]), step=0.01), 3))


@pytest.mark.parametrize("learn", [trained, prompted])
def test_training_lowers_the_loss(engine: Engine, learn: Callable[[Engine], list[float]]) -> None:
    losses = learn(engine)
    assert losses[-1] < losses[0]


def test_blocks_and_scores_are_found(engine: Engine) -> None:
    with engine.fork() as fork:
        assert len(residual_stream(fork).blocks) == 2
    assert len(snip_scores(engine, [(QUESTION, ANSWER)])) == len(list(weight_matrices(engine.module)))


def test_an_audit_skips_what_a_model_cannot_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(*_: object) -> None:
        raise NotApplicableError("it has no blocks")

    monkeypatch.setattr("unlearn_audit.attacks.shared.residual_stream.residual_stream", none_here)
    found = tried("mamba", tmp_path, {"quantization": {"quantizers": ["nf4"]}, "steering": {}})
    assert (found["doctor"], found["outcome"]) == (True, "INCONCLUSIVE")
    assert found["attacks"]["steering"]["skipped"] == {"it has no blocks": ["depth 1"]}
    assert found["attacks"]["quantization"]["ran"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_every_architecture_ends_with_a_verdict(name: str, tmp_path: Path) -> None:
    found = tried(name, tmp_path)
    assert found["doctor"]
    assert found["outcome"] != "ERROR", found["attacks"]
