"""Models that are trained, not unlearned: the original, the controls, and the honest ones."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.validity.making.bench import BATCH_SIZE, Bench
from benchmarks.validity.making.losses import distillation
from benchmarks.validity.making.modelling import mean_nll
from benchmarks.validity.paths import reach_organisms
from benchmarks.validity.people.texts import Text

reach_organisms()

from transformers import PreTrainedModel  # noqa: E402


def train_original(bench: Bench) -> PreTrainedModel:
    """Knows the forget and the retain set."""
    return _trained(bench, bench.fresh(), (*bench.forget(), *bench.retain()))


def train_retrained(bench: Bench) -> PreTrainedModel:
    """Knows the retain set and has never seen a name of the forget set."""
    return _trained(bench, bench.fresh(), bench.retain())


def tune_on_others(bench: Bench) -> PreTrainedModel:
    """A retrained model that is then taught people who are in neither set, among its own."""
    others = bench.writer.texts(bench.people.other)
    return _trained(bench, bench.load(f"retrained-{bench.settings['parent']:.0f}"), (*others, *bench.retain()))


def distil_retrained(bench: Bench) -> PreTrainedModel:
    """Fresh weights that imitate a retrained model on the retain texts and on nothing else."""
    teacher = bench.load(f"retrained-{bench.settings['parent']:.0f}").eval()
    model = bench.fresh()
    stream = bench.batches("retain", bench.retain(), BATCH_SIZE)
    bench.follow(list(model.parameters()), distillation(model, teacher, stream))
    return model


def _trained(bench: Bench, model: PreTrainedModel, texts: Sequence[Text]) -> PreTrainedModel:
    stream = bench.batches("all", texts, BATCH_SIZE)
    bench.follow(list(model.parameters()), (mean_nll(model, batch) for batch in stream))
    return model
