"""TOFU's forget figures beside open-unlearning's evaluation: its own metric functions, datasets and collators.

Probability, ROUGE, truth ratio, exact memorization and extraction strength of the same rows, in its batches of 32 with
its 200 new tokens. Its folder is named with `--open-unlearning`; nothing of it is in this project.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from benchmarks.rivals.common import Asked, keep, timed
from unlearn_audit.run.published import tofu
from unlearn_audit.run.published.sequences import Labels

BATCH = 32
FIGURES = ("forget_Q_A_Prob", "forget_Q_A_ROUGE", "forget_truth_ratio", "exact_memorization", "extraction_strength")


def compare(asked: Asked, *, folder: Path) -> None:
    """Measures the seconds of all figures on both sides, and how far the values are apart."""
    engine = asked.engine()
    rows = asked.all_rows()
    way = tofu.Way(labels=Labels.AS_SHIPPED, template=engine.tokenizer.chat_template, gradients=False)
    mine, raw = timed(lambda: tofu.measured(engine, {"forget": rows}, way))
    ours = {one.name: one.value for one in raw.figures}
    others, theirs = timed(lambda: _theirs(asked, folder))
    gaps = {name: abs((ours[name] or 0.0) - theirs[name]) for name in FIGURES}
    keep(
        f"TOFU's figures, {asked.dtype}",
        {
            "ours": mine,
            "theirs": others,
            "unit": f"seconds for {len(rows)} questions",
            "values": {name: ours[name] for name in FIGURES},
            "gaps": gaps,
        },
    )


def _theirs(asked: Asked, folder: Path) -> Mapping[str, float]:
    sys.path.insert(0, str(folder / "src"))
    from data.collators import DataCollatorForSupervisedDataset
    from data.qa import QADataset
    from evals.metrics import memorization
    from omegaconf import OmegaConf

    tokenizer, module = _tokenizer(asked), asked.plain()
    settings = {"tokenizer": tokenizer, "batch_size": BATCH}
    generation = {"do_sample": False, "top_p": None, "temperature": None, "max_new_tokens": 200, "use_cache": True}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as cut:
        rows = Path(cut) / "rows.jsonl"
        rows.write_text("\n".join(asked.lines()) + "\n", encoding="utf-8")

        def run(metric: Callable[..., Any], answer: str = "answer", **more: Any) -> dict[str, Any]:
            data = QADataset(
                hf_args={"path": "json", "data_files": str(rows), "split": "train", "cache_dir": cut},
                template_args={"apply_chat_template": True},
                tokenizer=tokenizer,
                answer_key=answer,
                predict_with_generate="generation_args" in more,
            )
            side = "left" if "generation_args" in more else "right"
            collator = DataCollatorForSupervisedDataset(tokenizer, padding_side=side, index="index")
            result: dict[str, Any] = metric._metric_fn(module, data=data, collators=collator, **settings, **more)  # type: ignore[attr-defined]
            return result

        chances = run(memorization.probability)
        found["forget_Q_A_Prob"] = chances["agg_value"]
        found["forget_Q_A_ROUGE"] = run(
            memorization.rouge, rouge_type="rougeL_recall", generation_args=OmegaConf.create(generation)
        )["agg_value"]
        right, wrong = (run(memorization.probability, f"{kind}_answer") for kind in ("paraphrased", "perturbed"))
        found["forget_truth_ratio"] = memorization.truth_ratio._metric_fn(
            module, pre_compute={"correct": right, "wrong": wrong}, aggregator="closer_to_1_better"
        )["agg_value"]
        found["exact_memorization"] = run(memorization.exact_memorization)["agg_value"]
        found["extraction_strength"] = run(memorization.extraction_strength)["agg_value"]
    return {name: float(found[name]) for name in FIGURES}


def _tokenizer(asked: Asked) -> Any:
    """The checkpoint's tokenizer, whose template gives ids, as in the versions that their code is for."""
    tokenizer: Any = AutoTokenizer.from_pretrained(asked.checkpoint, local_files_only=True)
    # Their mask hides every token that is the pad, ends of turns inside the prompt too: it gets one of its own.
    others = [token for token in tokenizer.all_special_tokens if token not in tokenizer.chat_template]
    tokenizer.pad_token = others[0] if others else tokenizer.eos_token
    render = tokenizer.apply_chat_template
    tokenizer.apply_chat_template = lambda *turns, **how: render(*turns, **{"return_dict": False, **how})
    return tokenizer
