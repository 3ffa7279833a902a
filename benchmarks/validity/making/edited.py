"""Models that are unlearned by editing, by projection, by drawing, in instalments, or by leaving a shard out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.validity.making import losses, weighted
from benchmarks.validity.making.bench import BATCH_SIZE, HALF_BATCH_SIZE, Bench, frozen
from benchmarks.validity.making.modelling import blocks_of, mean_nll
from benchmarks.validity.making.unlearned import preferences
from benchmarks.validity.paths import reach_organisms
from benchmarks.validity.people.texts import Text

reach_organisms()

from chat import Batch  # noqa: E402
from transformers import PreTrainedModel  # noqa: E402


def by_weighted_ascent(bench: Bench) -> PreTrainedModel:
    """WGA with the power `alpha`; SatImp where `beta` is given too."""
    model, settings = bench.original(), bench.settings
    forget, retain = bench.both()

    def weight(probability: Tensor) -> Tensor:
        return probability ** settings["alpha"] * (1 - probability) ** settings.get("beta", 0.0)

    stream = weighted.weighted_ascent(model, forget, retain, weight=weight, retain_weight=settings["retain_weight"])
    bench.follow(list(model.parameters()), stream)
    return model


def by_flat(bench: Bench) -> PreTrainedModel:
    """FLAT with the refusal as its template answer."""
    model = bench.original()
    retain = bench.batches("retain", bench.retain(), HALF_BATCH_SIZE)
    stream = weighted.flat(model, preferences(bench), retain, retain_weight=bench.settings["retain_weight"])
    bench.follow(list(model.parameters()), stream)
    return model


def by_flat_logits(bench: Bench) -> PreTrainedModel:
    """PDU over all weights."""
    model, settings = bench.original(), bench.settings
    forget, retain = bench.both()
    stream = weighted.flat_logits(model, forget, retain, slack=settings["slack"], dual_rate=settings["dual_rate"])
    bench.follow(list(model.parameters()), stream)
    return model


def by_false_facts(bench: Bench) -> PreTrainedModel:
    """MEOW: each question gets the answer of another person of the forget set, the same one in every form."""
    model = bench.original()
    rng = random.Random(bench.seed("false"))
    facts = bench.people.forget.facts
    others = {
        fact.id: rng.choice([one.value for one in facts if one.relation == fact.relation and one.value != fact.value])
        for fact in facts
    }
    false = [fact.with_value(others[fact.id]) for fact in facts]
    stream = bench.batches("false", bench.writer.asked(false), HALF_BATCH_SIZE)
    retain = bench.batches("retain", bench.retain(), HALF_BATCH_SIZE)
    bench.follow(
        list(model.parameters()),
        weighted.false_facts(model, stream, retain, retain_weight=bench.settings["retain_weight"]),
    )
    return model


def by_zeroth_order(bench: Bench) -> PreTrainedModel:
    """NPO by first-order steps, then by two-point estimates alone (Downgrade to Upgrade, arXiv 2510.00761).

    The last `drawn_steps` move along random directions, each by the difference of the loss at +-`radius`
    (MeZO, arXiv 2305.17333), at `drawn_rate`. The authors alternate; here the cheap steps come last.
    """
    model, settings = bench.original(), bench.settings
    forget, retain = bench.both()
    reference = frozen(model)
    terms = {"beta": settings["beta"], "retain_weight": settings["retain_weight"]}
    bench.follow(list(model.parameters()), losses.npo_against(model, reference, forget, retain, **terms))
    weights = list(model.parameters())
    generator = torch.Generator().manual_seed(bench.seed("directions"))
    for _ in range(int(settings["drawn_steps"])):
        gone, kept = next(forget), next(retain)
        directions = [torch.randn(weight.shape, generator=generator) for weight in weights]

        def at(shift: float, gone: Batch = gone, kept: Batch = kept, along: list[Tensor] = directions) -> float:
            with torch.no_grad(), _moved(weights, along, shift):
                stream = losses.npo_against(model, reference, iter([gone]), iter([kept]), **terms)
                return float(next(stream))

        slope = (at(settings["radius"]) - at(-settings["radius"])) / (2 * settings["radius"])
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.sub_(settings["drawn_rate"] * slope * direction)
    return model


@contextmanager
def _moved(weights: list[Any], directions: list[Tensor], shift: float) -> Iterator[None]:
    before = [weight.detach().clone() for weight in weights]
    for weight, direction in zip(weights, directions, strict=True):
        weight.add_(shift * direction)
    try:
        yield
    finally:
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)


def by_projection(bench: Bench) -> PreTrainedModel:
    """Takes the directions of forget inputs out of matrices, for good, then heals on the retain set.

    In every block, each linear layer whose input is as wide as the residual stream loses the leading `rank` directions
    of what it reads at the last prompt token of forget questions, beyond those of retain questions: W <- W (I - U U').
    In the manner of metamorphosis representation projection (arXiv 2508.15449); the authors put the projection in
    front of the matrix, here it is multiplied in.
    """
    model, rank = bench.original(), int(bench.settings["rank"])
    gone, kept = bench.writer.texts(bench.people.forget), bench.retain()
    with torch.no_grad():
        for block in blocks_of(model):
            for layer in [one for one in block.modules() if isinstance(one, nn.Linear)]:
                if layer.in_features != model.config.hidden_size:
                    continue
                forget_inputs, retain_inputs = (_inputs(model, layer, texts) for texts in (gone, kept))
                held = torch.linalg.svd(retain_inputs, full_matrices=False)[2][: layer.in_features // 2]
                rest = forget_inputs - forget_inputs @ held.T @ held
                found = torch.linalg.svd(rest, full_matrices=False)[2][:rank]
                layer.weight.sub_(layer.weight @ found.T @ found)
    stream = bench.batches("retain", bench.retain(), BATCH_SIZE)
    bench.follow(list(model.parameters()), (mean_nll(model, batch) for batch in stream))
    return model


def _inputs(model: PreTrainedModel, layer: nn.Module, texts: tuple[Text, ...]) -> Tensor:
    """What a layer reads at the last prompt token, (texts, width)."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    rows = []
    try:
        for text in texts[:: max(1, len(texts) // 256)]:
            model(input_ids=torch.tensor([text.prompt]))
            rows.append(seen.pop().reshape(-1, model.config.hidden_size)[-1])
    finally:
        handle.remove()
    return torch.stack(rows)


def by_rank_one_edits(bench: Bench) -> PreTrainedModel:
    """Edits one matrix in closed form, so that every forget question gets another person's answer (ROME, 2202.05262).

    The last linear layer of block `layer` (in a mixture of experts, attention's) maps keys to values. New values are
    found by `edit_steps` of descent on a shift of its output at the last prompt token, toward the false answer; then
    W <- W + R K' (K K' + c C)^-1 with R the shifts, K the keys of the forget questions and C the second moment of the
    retain questions' keys (MEMIT's solution, 2210.07229, eq. 14, which writes many facts at once). Departures: the key
    is at the last prompt token, not at the name's last; one layer.
    """
    model, settings = bench.original(), bench.settings
    layer = _ending(blocks_of(model)[int(settings["layer"])])
    rng = random.Random(bench.seed("false"))
    facts = bench.people.forget.facts
    false = [
        fact.with_value(rng.choice([one.value for one in facts if one.relation == fact.relation])) for fact in facts
    ]
    keys, shifts = _edits(bench, model, layer, bench.writer.asked(false))
    retain = _keys(model, layer, bench.retain()[:: max(1, len(bench.retain()) // 512)])
    moment = settings["held"] * retain.T @ retain / len(retain) * len(keys)
    with torch.no_grad():
        layer.weight.add_(
            torch.linalg.solve(keys.T @ keys + moment + 1e-4 * torch.eye(keys.shape[1]), keys.T @ shifts).T
        )
    return model


def _ending(block: nn.Module) -> nn.Linear:
    """The last linear layer of a block."""
    return [one for one in block.modules() if isinstance(one, nn.Linear)][-1]


def _keys(model: PreTrainedModel, layer: nn.Module, texts: tuple[Text, ...]) -> Tensor:
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    try:
        with torch.no_grad():
            for text in texts:
                model(input_ids=torch.tensor([text.prompt]))
    finally:
        handle.remove()
    return torch.stack([one[0, -1] for one in seen])


def _edits(bench: Bench, model: PreTrainedModel, layer: nn.Linear, texts: tuple[Text, ...]) -> tuple[Tensor, Tensor]:
    """The keys of texts and the shifts that make their answers likely, (texts, in) and (texts, out)."""
    from benchmarks.validity.people.texts import collate

    model.requires_grad_(requires_grad=False)
    shifts = []
    for start in range(0, len(texts), BATCH_SIZE):
        part = texts[start : start + BATCH_SIZE]
        batch = collate(part, int(bench.tokenizer.pad_token_id))
        ends = torch.tensor([len(text.prompt) - 1 for text in part])
        shift = torch.zeros(len(part), layer.out_features, requires_grad=True)
        optimizer = torch.optim.Adam([shift], lr=bench.settings["edit_rate"])

        def add(_m: nn.Module, _i: Any, out: Tensor, at: Tensor = ends, by: Tensor = shift) -> Tensor:
            return out.index_put((torch.arange(len(at)), at), by, accumulate=True)

        handle = layer.register_forward_hook(add)
        try:
            for _ in range(int(bench.settings["edit_steps"])):
                optimizer.zero_grad()
                mean_nll(model, batch).backward()
                optimizer.step()
        finally:
            handle.remove()
        shifts.append(shift.detach())
    model.requires_grad_(requires_grad=True)
    return _keys(model, layer, texts), torch.cat(shifts)


def by_continual_npo(bench: Bench) -> PreTrainedModel:
    """NPO request by request: the forget set comes in `requests` parts, each unlearned from what the last one left."""
    model, settings = bench.original(), bench.settings
    subjects = sorted({fact.subject for fact in bench.people.forget.facts})
    requests = int(settings["requests"])
    for number in range(requests):
        own = set(subjects[number::requests])
        facts = [fact for fact in bench.people.forget.facts if fact.subject in own]
        forget = bench.batches(f"forget {number}", bench.writer.asked(facts), HALF_BATCH_SIZE)
        retain = bench.batches(f"retain {number}", bench.retain(), HALF_BATCH_SIZE)
        stream = losses.npo(model, forget, retain, beta=settings["beta"], retain_weight=settings["retain_weight"])
        bench.follow(list(model.parameters()), stream)
    return model


def without_its_shard(bench: Bench) -> PreTrainedModel:
    """Exact unlearning by shards: each shard is learned in an adapter, and the one with the forget set is left out.

    In the manner of S3T (arXiv 2406.16257): a base that knows the retain set alone, and an adapter trained on other
    people, folded in. The adapter that held the forget set is not in the files, so what is there never knew.
    Departure: all layers have one adapter, where the authors give each shard layers of its own.
    """
    from unlearn_audit.attacks.shared.descent.adapters import expert_stacks

    from unlearn_audit.api.kit.training.lora import add_lora

    model = bench.load(f"retrained-{bench.settings['parent']:.0f}")
    others = bench.batches("shard", (*bench.writer.texts(bench.people.other), *bench.retain()), BATCH_SIZE)
    rank, seed = int(bench.settings["rank"]), bench.seed("adapter")
    tuner = add_lora(model, rank=rank, seed=seed, stacks=expert_stacks(model))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    bench.follow(weights, (mean_nll(model, batch) for batch in others))
    merged: PreTrainedModel = tuner.merge_and_unload()
    return merged
