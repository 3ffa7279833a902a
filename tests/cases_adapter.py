"""What made-up inputs from outside need of the internals: each function in plain values, in today's names.

`UA_ADAPTER=tests/cases_adapter.py` hands it to a collection of cases that is kept elsewhere.
`tests/test_cases_adapter.py` holds that it works.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def fact(row: dict):
    from unlearn_audit.api import Fact

    known = {"id", "subject", "question", "answer", "aliases", "paraphrases", "wrong_answers", "relation", "text"}
    return Fact(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k in known})


def hit(row: dict, output: str) -> bool | None:
    """Whether the default key finds the row's answer in a model's output; None where the row cannot be judged."""
    from unlearn_audit.api.kit.answer_key import Output, answer_key

    one = fact({"id": "1", "subject": "s", "question": "Q?", **row})
    key = answer_key(one, rouge_threshold=0.8).asked(Output(one.question))
    return None if key.missing else key.hit(Output(output))


def options(rows: list[dict]) -> dict[str, list[str]]:
    """Fact id -> the options of its forced choice, the right one first."""
    from unlearn_audit.probes.forced_choice import ForcedChoice, ForcedChoiceParameters

    pool = [fact(row) for row in rows]
    chooser = ForcedChoice(ForcedChoiceParameters()).chooser(pool)
    return {one.id: list(chooser.choice(one).options or ()) for one in pool}


def time_twins(rows: list[dict]) -> float:
    """CPU seconds to give each fact its twins once, from a sample of 50."""
    import time

    from unlearn_audit.api.kit.twins import Twins

    pool = [fact(row) for row in rows]
    start = time.process_time()
    twins = Twins(pool, rouge_threshold=0.8)
    sample = pool[:: max(1, len(pool) // 50)]
    for one in sample:
        list(twins.of(twins.entry(one)))
    return (time.process_time() - start) * len(pool) / len(sample)


def prompt_text(tokenizer, template: str | None, question: str, prefix: str = "") -> str:
    """The prompt as a model reads it, decoded."""
    from unlearn_audit.api import Prompt
    from unlearn_audit.models.rendering import Renderer

    writer = Renderer(tokenizer=tokenizer, chat_template=template)
    return tokenizer.decode(list(writer.prompt_ids(Prompt(text=question, prefix=prefix))))


def passage_share(greedy: list[bool]) -> float:
    """What the deciding measure of passages gives where these tokens were first choices."""
    from unlearn_audit.probes.shared.passages import first_choices

    from unlearn_audit.api import AnswerScore

    return first_choices(AnswerScore(log_probs=tuple([-0.01] * len(greedy)), greedy=tuple(greedy))) or 0.0


def judged(evidence: Path) -> dict:
    """The verdict of the program on a directory of made-up evidence, as plain values; old names are read as today's."""
    import pandas as pd

    from unlearn_audit.evidence.old_names import ATTACKS, renamed
    from unlearn_audit.plan.case import Case
    from unlearn_audit.spec.policy import Policy
    from unlearn_audit.spec.waivers import Waiver, Waiving
    from unlearn_audit.verdict.decide import decide

    empty = {c: [""] for c in ("dose_value", "score", "twin_score", "placebo_score", "missing")}
    kinds = {"fact_id": str, "missing": object, "model": str}
    frame = pd.read_csv(evidence / "observations.csv.gz", dtype=kinds, keep_default_na=False, na_values=empty)
    frame["missing"] = frame["missing"].where(frame["missing"].notna(), None)
    frame["attack"] = frame["attack"].replace(ATTACKS)
    about = json.loads((evidence / "case.json").read_text())
    beside = (evidence / "planned_doses.json", Path(sys.argv[0]).parent / "planned_doses.json")
    known = next((path for path in beside if path.exists()), None)  # what the table of a case cannot hold
    about["case"]["doses"] = json.loads(known.read_text()) if known else {}
    groups = evidence / "clusters.csv"
    about["case"]["clusters"] = dict(pd.read_csv(groups).itertuples(index=False)) if groups.exists() else {}
    policy = Policy.model_validate(about["policy"])
    waivers = Waiving(waivers=tuple(Waiver.model_validate(one) for one in renamed(about["waivers"] or [], ATTACKS)))
    verdict = decide(frame, Case.model_validate(renamed(about["case"], ATTACKS)), policy, waivers=waivers)
    former = {new: old for old, new in ATTACKS.items()}
    return {
        "outcome": str(verdict.outcome),
        "sentence": renamed(verdict.sentence, former),
        "reasons": renamed(list(verdict.reasons), former),
        "findings": {renamed({"id": one.id}, former)["id"]: str(one.status) for one in verdict.findings},
        "verdict": verdict,
    }
