"""MUSE's table: VerbMem, KnowMem on both sets, PrivLeak (2407.06460), in its own scale of 0 to 100."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearn_audit.evidence.published import Figure, figure, single
from unlearn_audit.run.published.scoring import scored
from unlearn_audit.run.published.sequences import whole_text
from unlearn_audit.run.published.texts import continued_texts
from unlearn_audit.statistics.published import membership, muse, texts
from unlearn_audit.statistics.published.memorization import min_k_without_minimum

if TYPE_CHECKING:
    from unlearn_audit.models.engine import Engine

Row = Mapping[str, Any]
_LONGEST = 2048
"""Tokens of a text that PrivLeak reads."""


@dataclass(frozen=True, kw_only=True)
class Raw:
    """The figures of one model, and its area for PrivLeak."""

    figures: tuple[Figure, ...]
    area: float | None


def measured(engine: Engine, rows: Mapping[str, Sequence[Row]]) -> Raw:
    """All figures of one model; rows as published, by part."""
    figures = [_verbmem(engine, rows.get("verbmem", ()))]
    for name, part in (("knowmem_f", "forget_qa"), ("knowmem_r", "retain_qa")):
        figures.append(_knowmem(engine, name, rows.get(part, ()), rows.get(f"{part}_icl", ())))
    scores = [_scores(engine, rows.get(part, ())) for part in ("privleak_forget", "holdout")]
    area = membership.auc_memorised_low(*scores) if all(scores) else None
    figures.append(single("forget_holdout_Min-40%", area, "it needs the texts of privleak"))
    return Raw(figures=tuple(figures), area=area)


def against(own: Raw, control: Raw | None, *, is_control: bool = False) -> tuple[Figure, ...]:
    """The figures with PrivLeak, which compares with a retrained model."""
    areas = (own.area, None if control is None or is_control else control.area)
    leak = None if None in areas else membership.privleak_of_muse(*areas)  # type: ignore[arg-type]
    why = "it compares with a retrained model, and this is it" if is_control else "it needs --retrained and privleak"
    return (*own.figures, single("privleak", leak, why))


def _verbmem(engine: Engine, rows: Sequence[Row]) -> Figure:
    said = continued_texts(engine, [str(row["prompt"]) for row in rows], muse.NEW_TOKENS_OF_VERBMEM)
    truths = [
        muse.verbmem_truth(
            str(row["gt"]),
            lambda text: list(engine.tokenizer(text)["input_ids"]),
            lambda ids: str(engine.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True)),
        )
        for row in rows
    ]
    return figure("verbmem_f", _rouge(truths, said), "rougeL")


def _knowmem(engine: Engine, name: str, rows: Sequence[Row], examples: Sequence[Row]) -> Figure:
    shown = [(str(one["question"]), str(one["answer"])) for one in examples]
    prompts = [muse.knowmem_prompt(str(row["question"]), shown) for row in rows]
    said = map(muse.knowmem_answer, continued_texts(engine, prompts, muse.NEW_TOKENS_OF_KNOWMEM))
    return figure(name, _rouge([str(row["answer"]) for row in rows], said), "rougeL")


def _rouge(truths: Sequence[str], said: Iterable[str]) -> dict[str, dict[str, float]]:
    pairs = zip(truths, said, strict=True)
    return {
        str(number): {"rougeL": 100 * texts.rouge_without_stemmer(*pair).rouge_l_f1}
        for number, pair in enumerate(pairs)
    }


def _scores(engine: Engine, rows: Sequence[Row]) -> list[float]:
    """Min-40% of each text, all tokens but the first; a text too short for one token has none."""
    sequences = (whole_text(engine.tokenizer, str(row["text"]), _LONGEST) for row in rows)
    read = scored(engine, (one for one in sequences if len(one.token_ids) > 1))
    found = (min_k_without_minimum(one.log_probs, muse.MIN_K_OF_PRIVLEAK) for one in read)
    return [one for one in found if one == one]
