"""One suite measured on all models of a request: original, checkpoint, retrained; each loaded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.published import Figure, Metrics, ModelTable, Suite
from unlearn_audit.facts.benchmarks import benchmark_rows
from unlearn_audit.run.published import muse, rwku, tofu, wmdp
from unlearn_audit.run.published.depth import Depth
from unlearn_audit.run.published.sequences import NOTHING, Labels, Preface
from unlearn_audit.run.published.texts import ends_as_shipped
from unlearn_audit.spec.sources import Source, parse_source
from unlearn_audit.spec.spec import DATE

if TYPE_CHECKING:
    from unlearn_audit.models.engine import Engine
    from unlearn_audit.models.references import Checkpoint
    from unlearn_audit.spec.spec import ModelOptions

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
_PRESETS = {
    Suite.TOFU: "tofu",
    Suite.OPEN_UNLEARNING: "tofu",
    Suite.MUSE: "muse",
    Suite.RWKU: "rwku",
    Suite.WMDP: "wmdp",
}

_BY_TEMPLATE = (Suite.TOFU, Suite.OPEN_UNLEARNING, Suite.RWKU)
"""The suites that put their questions in the chat template; the others ask plainly."""
_WITH_DEPTH = (Suite.TOFU, Suite.OPEN_UNLEARNING)


def measure(
    suite: Suite,
    forget: str,
    models: Sequence[tuple[str, Checkpoint]],
    options: ModelOptions,
    labels: Labels = Labels.AS_SHIPPED,
) -> Metrics:
    """The table of a suite.

    Args:
        suite: whose.
        forget: the source of the forget set, which must be the suite's benchmark: its other files are read as well.
        models: role and checkpoint; the first of role `retrained` is what the others are compared with.
        options: how they are loaded.
        labels: which tokens count, for TOFU's and open-unlearning's.

    Raises:
        SpecError: the forget set is not the suite's benchmark, or its files are not there.
    """
    from unlearn_audit.models.loading import loaded
    from unlearn_audit.models.rendering import fix_date

    source = _benchmark(suite, forget)
    rows = benchmark_rows(source, download=options.download)
    roles = [role for role, _ in models]
    depth = Depth(rows=rows.get("entities", ()), roles=roles) if suite in _WITH_DEPTH else None
    raws, put = [], NOTHING
    for place, (_, checkpoint) in enumerate(models):
        with loaded(checkpoint, options) as engine:
            template = _template(engine)
            if template is not None:
                fix_date(template, options.date)
            preface = _preface(suite, template, options)
            put = put if preface == NOTHING else preface
            ends = ends_as_shipped(checkpoint, engine) if labels is Labels.AS_SHIPPED else None
            way = tofu.Way(labels=labels, template=template, preface=preface, ends=ends)
            raws.append(_measured(suite, source, engine, rows, way))
            if depth is not None:
                depth.look(place, engine)
    if depth is not None and depth.can_be_taken:
        with loaded(models[roles.index("original")][1], options) as engine:
            depth.take(engine)
    control = next((raw for raw, role in zip(raws, roles, strict=True) if role == "retrained"), None)
    return Metrics(
        suite=suite,
        benchmark=f"{source.preset}/{source.config}" if source.config else str(source.preset),
        labels=labels.value,
        system_prompt=put.system_prompt,
        date=put.date,
        models=tuple(
            ModelTable(
                role=role,
                reference=checkpoint.reference,
                figures=(*_figures(raw, control), *(() if depth is None else (depth.figure(place),))),
            )
            for place, (raw, (role, checkpoint)) in enumerate(zip(raws, models, strict=True))
        ),
    )


def check_suite(suite: Suite, forget: str) -> None:
    """Refuses a suite whose benchmark the forget set is not, before hours are spent.

    Raises:
        SpecError: naming the benchmark that it needs.
    """
    _benchmark(suite, forget)


def _benchmark(suite: Suite, forget: str) -> Source:
    source = parse_source(forget)
    wanted = _PRESETS[suite]
    if source.preset != wanted or source.config is None:
        raise SpecError(
            f"--metrics {suite}: expected the forget set of a benchmark ({wanted}/...), whose other files are read as "
            f"well; give --preset {wanted}/... and --data FOLDER"
        )
    return source


def _measured(suite: Suite, source: Source, engine: Engine, rows: Rows, way: tofu.Way) -> Any:
    if suite is Suite.MUSE:
        return muse.measured(engine, rows)
    if suite is Suite.RWKU:
        return rwku.measured(engine, rows, way.template, way.preface)
    if suite is Suite.WMDP:
        return wmdp.measured(engine, rows, source.config or "")
    return tofu.measured(engine, rows, way)


def _template(engine: Engine) -> str | None:
    """The chat template of the tokenizer, as others would use it."""
    held = engine.tokenizer.chat_template
    return held if isinstance(held, str) else None


def _preface(suite: Suite, template: str | None, options: ModelOptions) -> Preface:
    """What the user gave to stand before a question, as far as the suite and the template have a place for it."""
    if template is None or suite not in _BY_TEMPLATE:
        return NOTHING
    dated = options.date != DATE and any(name in template for name in ("date_string", "strftime_now"))
    return Preface(system_prompt=options.system_prompt or None, date=options.date if dated else None)


def _figures(own: Any, control: Any) -> tuple[Figure, ...]:
    if isinstance(own, tofu.Raw):
        return tofu.against(own, control, is_control=own is control)
    if isinstance(own, muse.Raw):
        return muse.against(own, control, is_control=own is control)
    figures: tuple[Figure, ...] = own
    return figures
