"""Short answers beside transformers' generate as lm-evaluation-harness calls it: its own `HFLM.generate_until`.

Greedy, the checkpoint's chat template, the same batch size, ended by the end of the turn. The harness gets the rendered
prompts, and ends on the end of the turn and of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.rivals.common import Asked, alternately, keep
from unlearn_audit.api import Prompt
from unlearn_audit.models.engine import Engine

TIMES = 2


def compare(asked: Asked, *, new_tokens: int, batch: int) -> None:
    """Measures the seconds of all answers on both sides, and counts the answers that are the same text."""
    engine = asked.engine()
    prompts = [Prompt(text=question) for question, _ in asked.pairs()]
    texts: dict[str, list[str]] = {}

    def ours() -> None:
        texts["ours"] = [one.text.strip() for one in engine.generate(prompts, max_new_tokens=new_tokens)]

    harness, requests = _harness(engine, asked.plain(), prompts, new_tokens=new_tokens, batch=batch)

    def theirs() -> None:
        texts["theirs"] = [text.strip() for text in harness.generate_until(requests, disable_tqdm=True)]

    mine, others = alternately(ours, theirs, TIMES)
    same = sum(one == other for one, other in zip(texts["ours"], texts["theirs"], strict=True))
    keep(
        f"answers of at most {new_tokens} tokens, {asked.dtype}",
        {
            "ours": min(mine),
            "theirs": min(others),
            "unit": f"seconds for {len(prompts)} answers",
            "same_text": same,
            "batch": batch,
            "characters": sum(map(len, texts["ours"])) / len(prompts),
        },
    )


def _harness(
    engine: Engine, module: Any, prompts: Sequence[Prompt], *, new_tokens: int, batch: int
) -> tuple[Any, list[Any]]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    tokenizer = engine.tokenizer
    lm = HFLM(pretrained=module, tokenizer=tokenizer, batch_size=batch, backend="causal")
    until = [tokenizer.decode([token]) for token in sorted(engine.stops.ends)]
    settings = {"until": until, "max_gen_toks": new_tokens, "do_sample": False}
    return lm, [
        Instance(
            request_type="generate_until",
            doc={},
            arguments=(tokenizer.decode(engine.renderer.prompt_ids(prompt)), settings),
            idx=place,
        )
        for place, prompt in enumerate(prompts)
    ]
