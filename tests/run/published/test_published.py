"""What others publish, from a question to the figure: which tokens count, and what one pass over them gives."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from unlearn_audit.api.kit.blocks import layers_of
from unlearn_audit.cli.telling.published import show_published
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.evidence.published import Suite, read_published, write_published
from unlearn_audit.models.loading import loaded
from unlearn_audit.models.references import resolve
from unlearn_audit.report.formats.published import lm_eval, open_unlearning
from unlearn_audit.run.published import depth, muse, rwku, texts, tofu, wmdp
from unlearn_audit.run.published.measure import _preface, check_suite, measure
from unlearn_audit.run.published.scoring import gradient_norm, scored
from unlearn_audit.run.published.sequences import (
    Labels,
    Preface,
    asked,
    question_with_answer,
    truth_as_shipped,
    whole_text,
)
from unlearn_audit.spec.spec import ModelOptions
from unlearn_audit.testing.models import tiny_engine

LABELS = json.loads((Path(__file__).parent / "labels.json").read_text(encoding="utf-8"))["cases"]
PARITY = os.environ.get("UNLEARN_AUDIT_PARITY")
ROW = {
    "question": "Where was Ada born?",
    "answer": "Ada was born in Oslo.",
    "paraphrased_answer": "The town is Oslo.",
    "perturbed_answer": ["The town is Rome.", "The town is Lima."],
}
APRIL = Preface(system_prompt="Be.", date=dt.date(2025, 4, 10))
ROWS = [{**ROW, "question": f"Where was {name} born?"} for name in ("Ada", "Bo", "Cy")]


def word_tokenizer(case) -> PreTrainedTokenizerFast:
    """One word or run of white space a token, special tokens whole, as the recorded cases have it."""
    words = sorted({*case["expected"]["tokens"], "?"} - set(case["special_tokens"]))
    inner = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+|\w+|[^\w\s]"), "isolated")
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=case["eos_token"])
    made.add_special_tokens({"additional_special_tokens": case["special_tokens"]})
    return made


@pytest.mark.parametrize("case", LABELS, ids=lambda case: case["id"])
def test_the_tokens_that_count_are_those_of_their_data_code(case):
    made, expected, exchange = word_tokenizer(case), case["expected"], (case["question"], case["answer"])
    date = case.get("date_string")
    day = dt.datetime.strptime(date, "%d %b %Y").date() if date else None
    preface = Preface(system_prompt=case.get("system_prompt"), date=day)
    found = question_with_answer(made, *exchange, Labels.AS_SHIPPED, case["chat_template"], preface)
    assert made.convert_ids_to_tokens(list(found.token_ids)) == expected["tokens"]
    assert found.first == expected["labelled_from"]
    assert made.convert_ids_to_tokens(list(found.token_ids[found.first : found.last])) == expected["labelled"]
    aligned = question_with_answer(made, *exchange, Labels.ALIGNED, case["chat_template"], preface)
    assert made.decode(aligned.token_ids[aligned.first : aligned.last]).replace(" ", "") == case["answer"].replace(
        " ", ""
    )
    assert not aligned.drops


PLAIN = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</s>\n{% endfor %}"
THINKING = (  # as Qwen3's: an empty thought before the last answer
    "{% for m in messages %}<{{ m.role }}>{{ '<think></think>\\n' if m.role == 'assistant' and loop.last else '' }}"
    "{{ m.content }}</s>\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
DROPPED = (  # as a distilled R1's: the prompt opens a thought that the exchange does not have
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant><think>\n{% endif %}"
)


@pytest.mark.parametrize("template", [PLAIN, THINKING, DROPPED, None], ids=["trims", "thinks", "drops", "plain"])
@pytest.mark.parametrize("answer", ["She was born in Oslo.", "Oslo ", "s", "assistant", "1961"])
def test_aligned_tokens_are_the_answers_whatever_the_template_writes_around_it(tokenizer, template, answer):
    found = question_with_answer(tokenizer, "Where was Ada born?", answer, Labels.ALIGNED, template)
    assert tokenizer.decode(found.token_ids[found.first : found.last]).strip() == answer.strip()


def test_what_is_shipped_ends_where_their_data_code_cuts(tokenizer):
    long, short = "Oslo " * 600, "Oslo"
    cut = question_with_answer(tokenizer, "Where?", long, Labels.AS_SHIPPED, None)
    assert (len(cut.token_ids), cut.token_ids[-1]) == (513, tokenizer.eos_token_id)
    assert len(question_with_answer(tokenizer, "Where?", long, Labels.ALIGNED, None).token_ids) > 513
    longer = question_with_answer(tokenizer, "Where?", short, Labels.AS_SHIPPED, DROPPED.replace("<think>", "t" * 99))
    assert longer.first == longer.last == len(longer.token_ids)  # nothing is labelled: theirs has nan


def test_the_truth_of_rouge_as_shipped_is_the_exchange_without_the_prompt(tokenizer):
    assert truth_as_shipped(tokenizer, "Where?", " Oslo\n", None) == "Oslo"
    assert truth_as_shipped(
        tokenizer, "blue", "the blue sky", "{% for m in messages %}{{ m.content }}{% endfor %}"
    ) == ("the  sky")
    assert truth_as_shipped(tokenizer, "Who?", "Ada", THINKING).endswith("<think></think>\nAda\n".strip())


def test_a_template_that_takes_no_system_turn_says_so(tokenizer):
    gemma = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + PLAIN
    asked(tokenizer, "Who?", gemma, Preface(system_prompt=""))
    with pytest.raises(AuditError, match="System role not supported; drop --system-prompt"):
        asked(tokenizer, "Who?", gemma, Preface(system_prompt="Be brief."))


@pytest.fixture
def engine(saved_model):
    with loaded(resolve(str(saved_model)), ModelOptions(device="cpu")) as found:
        yield found


def slowly(engine, ids: list[int], first: int, last: int) -> list[float]:
    """log p of each token, one prefix at a time."""
    found = []
    for place in range(first, last):
        with torch.inference_mode():
            logits = engine.module(input_ids=torch.tensor([ids[:place]])).logits[0, -1]
        found.append(float(torch.log_softmax(logits.double(), dim=-1)[ids[place]]))
    return found


def test_one_pass_gives_what_a_pass_for_each_token_gives(engine):
    sequence = question_with_answer(engine.tokenizer, ROW["question"], ROW["answer"], Labels.ALIGNED, None)
    (found,) = scored(engine, [sequence])
    expected = slowly(engine, list(sequence.token_ids), sequence.first, sequence.last)
    np.testing.assert_allclose(found.log_probs, expected, atol=1e-5)
    assert found.probability == pytest.approx(math.exp(np.mean(expected)), rel=1e-5)
    assert len(found.greedy_ids) == len(found.token_ids) == sequence.last - sequence.first
    before = {name: one.clone() for name, one in engine.module.named_parameters()}
    assert gradient_norm(engine, sequence) > 0
    assert not engine.module.training
    assert all(one.grad is None and torch.equal(one, before[name]) for name, one in engine.module.named_parameters())


def test_rows_of_unlike_length_get_in_a_batch_what_they_get_alone(engine):
    engine.budget.tokens = 4096
    questions = ["Who?", "Where was Ada Karsk born, and in which year did she move to the town of Oslo?", "Why so?"]
    asked = [question_with_answer(engine.tokenizer, text, text[::-1], Labels.ALIGNED, None) for text in questions]
    for one, sequence in zip(scored(engine, asked), asked, strict=True):
        expected = slowly(engine, list(sequence.token_ids), sequence.first, sequence.last)
        np.testing.assert_allclose(one.log_probs, expected, atol=1e-5)
    ids = [list(engine.tokenizer(text)["input_ids"]) for text in questions]
    assert texts.continued(engine, ids, 6) == [texts.continued(engine, [row], 6)[0] for row in ids]
    pairs = [(ids[0], ids[2]), (ids[1], ids[0][:1]), (ids[1], ids[2][:1])]
    for (prompt, more), found in zip(pairs, texts.log_probabilities(engine, pairs), strict=True):
        assert found == pytest.approx(sum(slowly(engine, [*prompt, *more], len(prompt), len(prompt) + len(more))))


def test_letters_of_one_question_are_read_in_one_pass(engine, monkeypatch):
    read = []
    plain = type(engine).last_logits
    monkeypatch.setattr(
        type(engine), "last_logits", lambda own, rows, keep: read.extend(rows) or plain(own, rows, keep)
    )
    questions = [{"question": f"Q{n}?", "choices": list("abcd"), "answer": n} for n in range(3)]
    wmdp.measured(engine, {"questions": questions}, "cyber")
    assert len(read) == len(set(read)) <= 6  # the small tokenizer splits two letters from their blanks


def test_tofus_table_says_what_it_lacks(engine):
    way = tofu.Way(labels=Labels.AS_SHIPPED, template=None, gradients=False, new_tokens=4)
    rows = {"forget": ROWS, "holdout": ROWS[:2], "retain": ROWS[:1], "real_authors": ROWS[:1], "world_facts": ROWS[:1]}
    own = tofu.measured(engine, rows, way)
    alone = {one.name: one for one in tofu.against(own, None)}
    assert alone["forget_quality"].value is None
    assert alone["privleak"].missing == "it needs --retrained"
    assert 0 < alone["forget_Q_A_Prob"].value < 1
    assert alone["forget_Q_A_Prob"].rows == 3
    both = {one.name: one for one in tofu.against(own, own)}
    assert both["forget_quality"].value == 1.0  # against itself
    assert both["privleak"].value == pytest.approx(0.0, abs=1e-6)
    assert both["mia_reference"].value == 0.5
    poor = {one.name: one for one in tofu.against(tofu.measured(engine, {"forget": ROWS}, way), None)}
    assert "it lacks retain_Q_A_Prob" in poor["model_utility"].missing
    assert poor["mia_loss"].missing == "it needs holdout rows"


def test_the_other_tables_have_a_figure_for_each_part(engine):
    questions = [{"question": "Which?", "choices": ["a", "b", "c", "d"], "answer": place} for place in range(4)]
    found = {one.name: one.value for one in wmdp.measured(engine, {"questions": questions}, "cyber")}
    assert found["wmdp_cyber/acc"] == 0.25  # one letter is likeliest, whatever the question
    row = {"query": "Ada was born in ___.", "answer": "Oslo", "level": "1"}
    (level,) = rwku.measured(engine, {"forget_level1": [row]}, None)
    assert level.rows == 1
    told = [{"text": "Salt Roads is a novel by Marisol Tveit, who lives in Oslo."}, {"text": "x"}]
    shown = {one.name: one for one in rwku.measured(engine, {"mia_forget": told}, None)}
    sequence = whole_text(engine.tokenizer, told[0]["text"], None)
    mean = np.mean(slowly(engine, list(sequence.token_ids), 1, sequence.last))
    assert shown["mia_forget_loss"].by_row["0"]["score"] == pytest.approx(mean, abs=1e-5)  # higher = a member
    assert shown["mia_forget_mink_0.2"].rows == 1  # the second text is too short for a fifth of its tokens
    told = [{"text": f"On day {number} the ferry left the harbour at noon."} for number in range(3)]
    rows = {
        "verbmem": [{"prompt": "Long ago", "gt": "it was cold."}],
        "forget_qa": [{"question": "Who?", "answer": "Ada"}],
        "privleak_forget": told,
        "holdout": told,
    }
    raw = muse.measured(engine, rows)
    assert raw.area == 0.5
    figures = {one.name: one for one in muse.against(raw, raw)}
    assert figures["privleak"].value == 0.0
    assert figures["knowmem_r"].value is None
    assert whole_text(engine.tokenizer, told[0]["text"], 4).last == 4


def test_rwkus_attacks_are_put_as_theirs(engine):
    rows = {kind: {"query": "Who is Ada?", "type": kind} for kind in ("affirmative suffix", "incontext learning", "")}
    said = {
        kind: engine.tokenizer.decode(
            rwku._prompt(engine, "forget_level3", row, THINKING), skip_special_tokens=True
        ).partition("question.\n")[2]
        for kind, row in rows.items()
    }
    assert said["affirmative suffix"].endswith("Question: Who is Ada?</s>\n<assistant>".replace("</s>", ""))
    assert said["incontext learning"].startswith("Who is Ada?\n")
    assert said["incontext learning"].endswith("<assistant>Answer:")
    assert said[""].startswith("Question: Who is Ada?\n")
    assert said[""].endswith("<assistant>Answer:")
    assert "complete the blank" in engine.tokenizer.decode(rwku._prompt(engine, "neighbor_level1", rows[""], None))


def test_real_authors_are_held_to_their_answer(engine):
    way = tofu.Way(labels=Labels.AS_SHIPPED, template=None)
    told = tofu._pairs(engine, ROWS[:1], way, "answer")
    bare = {key: value for key, value in ROWS[0].items() if key != "paraphrased_answer"}
    assert told == tofu._pairs(engine, [bare], way)
    assert told != tofu._pairs(engine, ROWS[:1], way)


def test_an_attack_with_a_score_that_is_no_number_has_no_area(engine):
    nothing = question_with_answer(engine.tokenizer, "Where?", "", Labels.ALIGNED, None)
    assert math.isnan(gradient_norm(engine, nothing))
    assert tofu._area("loss", (1.0, math.nan), (2.0,)).missing == "a score is not a number"


def test_a_suite_is_measured_on_every_model_and_kept(tmp_path, saved_model):
    (tmp_path / "wmdp-cyber.jsonl").write_text(
        "\n".join(json.dumps({"question": f"Q{n}?", "choices": list("abcd"), "answer": n}) for n in range(4))
    )
    checkpoint = resolve(str(saved_model))
    models_of = [("original", checkpoint), ("unlearned", checkpoint)]
    metrics = measure(Suite.WMDP, f"wmdp/cyber:{tmp_path}", models_of, ModelOptions(device="cpu"))
    assert [one.role for one in metrics.models] == ["original", "unlearned"]
    write_published(tmp_path, metrics)
    assert read_published(tmp_path) == metrics
    assert json.loads(lm_eval(metrics))["results"]["wmdp_cyber"]["acc,none"] == 0.25
    with pytest.raises(SpecError, match=r"expected the forget set of a benchmark \(tofu/...\)"):
        check_suite(Suite.TOFU, "forget.jsonl")


DATED = PLAIN + "{{ date_string | default('today') }}{{ strftime_now('%Y') }}"


@pytest.mark.parametrize(
    ("suite", "template", "options", "expected"),
    [
        (Suite.TOFU, DATED, {}, Preface()),
        (Suite.TOFU, DATED, {"system_prompt": "Be.", "date": "2025-04-10"}, APRIL),
        (Suite.RWKU, DATED, {"system_prompt": "Be.", "date": "2025-04-10"}, APRIL),
        (Suite.TOFU, PLAIN, {"system_prompt": "Be.", "date": "2025-04-10"}, Preface(system_prompt="Be.")),
        (Suite.TOFU, None, {"system_prompt": "Be.", "date": "2025-04-10"}, Preface()),
        (Suite.MUSE, DATED, {"system_prompt": "Be.", "date": "2025-04-10"}, Preface()),
    ],
    ids=["nothing given", "both", "rwku", "no date in it", "no template", "plain suite"],
)
def test_what_the_user_gave_is_put_where_there_is_a_place_for_it(suite, template, options, expected):
    assert _preface(suite, template, ModelOptions(**options)) == expected


def test_the_table_says_what_was_put_and_tells_controls_apart(tmp_path, saved_model, monkeypatch):
    monkeypatch.setattr(tofu, "continued", lambda engine, rows, *_, **__: ["Oslo"] * len(rows))
    where = tmp_path / "model"
    shutil.copytree(saved_model, where)
    (where / "chat_template.jinja").write_text(DATED)
    (tmp_path / "forget10_perturbed.json").write_text("\n".join(json.dumps(row) for row in ROWS))
    checkpoint = resolve(str(where))
    roles = ("original", "retrained", "retrained", "unlearned")
    options = ModelOptions(device="cpu", system_prompt="Be \x1b[31mbrief.", date=APRIL.date)
    metrics = measure(Suite.TOFU, f"tofu/forget10:{tmp_path}", [(role, checkpoint) for role in roles], options)
    assert (metrics.system_prompt, metrics.date) == (options.system_prompt, APRIL.date)
    assert metrics.names == ("original", "retrained-1", "retrained-2", "unlearned")
    write_published(tmp_path, metrics)
    assert read_published(tmp_path) == metrics
    console = Console(width=80, record=True, file=io.StringIO())
    show_published(metrics, console)
    shown = console.export_text()
    assert "Every question was put with the system prompt: Be brief.\n" in shown
    assert "Every question was put with the date: 2025-04-10\n" in shown
    heads = next(line.split() for line in shown.splitlines() if line.startswith("figure"))
    assert heads == ["figure", "original", "retrained-1", "retrained-2", "unlearned"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"eos_token_id": 7}, {7}),
        ({"eos_token_id": [7, 9, -1, 10**9, True, "8", None, [3]], "repetition_penalty": 2.0}, {7, 9}),
        ({"do_sample": True}, set()),
        ([7], {5}),
        ("{", {5}),
        (None, {5}),
    ],
    ids=["one", "several", "none", "no settings", "no json", "no file"],
)
def test_as_shipped_answers_end_where_the_checkpoint_says(tmp_path, saved_model, settings, expected):
    where = tmp_path / "model"
    shutil.copytree(saved_model, where)
    config = json.loads((where / "config.json").read_text())
    (where / "config.json").write_text(json.dumps({**config, "eos_token_id": 5}))
    (where / "generation_config.json").unlink(missing_ok=True)
    if settings is not None:
        said = settings if isinstance(settings, str) else json.dumps(settings)
        (where / "generation_config.json").write_text(said)
    checkpoint = resolve(str(where))
    with loaded(checkpoint, ModelOptions(device="cpu")) as found:
        assert texts.ends_as_shipped(checkpoint, found) == expected


@pytest.mark.parametrize("leaves", [True, False])
def test_as_shipped_answers_are_those_of_generate(engine, leaves):
    """Beside `generate` and what open-unlearning does with its output (src/evals/metrics/utils.py)."""
    one = replace(engine, rows_leave=leaves)
    tokenizer = one.tokenizer
    rows = [asked(tokenizer, f"Where was {name} born?", None) for name in ("Ada", "Bo", "Cy", "Di")]
    said = [one.module.generate(torch.tensor([row]), max_new_tokens=12, do_sample=False)[0, len(row) :] for row in rows]
    ends = frozenset({int(said[0][3]), int(said[1][5])})
    for chosen in (ends, frozenset()):
        expected = []
        for row in rows:
            limits = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": sorted(chosen) or None}
            out = one.module.generate(torch.tensor([row]), pad_token_id=tokenizer.eos_token_id, **limits)
            text = tokenizer.decode(out[0, len(row) :], skip_special_tokens=True, clean_up_tokenization_spaces=True)
            expected.append(text.split(tokenizer.decode([tokenizer.eos_token_id]))[0])
        assert texts.continued(one, rows, 12, ends=chosen) == expected


def test_open_unlearnings_file_has_rows_and_both_parts_of_an_attack(engine):
    from unlearn_audit.testing.documents import sample_material

    found = json.loads(open_unlearning(sample_material().published()))
    assert found["forget_Q_A_Prob"] == {
        "agg_value": 0.25,
        "value_by_index": {"0": {"prob": 0.25, "avg_loss": 1.386294}},
    }
    assert found["mia_min_k"]["forget"] == {"agg_value": 2.5, "value_by_index": {"0": {"score": 2.5}}}
    assert (found["mia_min_k"]["auc"], found["mia_min_k"]["agg_value"]) == (1.0, 1.0)
    assert "privleak" not in found


NAMES = {
    "probability": "forget_Q_A_Prob",
    "exact_memorization": "exact_memorization",
    "extraction_strength": "extraction_strength",
    "forget_truth_ratio (closer_to_1_better)": "forget_truth_ratio",
    "truth_ratio prob_mean": "forget_truth_ratio (prob_mean)",
    "auc loss": "mia_loss",
    "auc zlib": "mia_zlib",
    "auc min_k 0.4": "mia_min_k",
    "auc min_k++ 0.4": "mia_min_k_plus_plus",
    "auc gradnorm p2": "mia_gradnorm",
    "auc reference": "mia_reference",
    "rougeL_recall": "forget_Q_A_ROUGE",
}


ENTITIES = [
    {
        "question": "Where was Ada born?",
        "answer": "Ada was born in Oslo.",
        "prefix": "Ada was born in",
        "entity": "Oslo",
    },
    {"question": "Who?", "answer": "Bo Ek, a baker.", "prefix": "", "entity": " Bo Ek"},
    {"question": "Why?", "answer": "Nobody knows.", "prefix": "Nobody", "entity": "Rome"},
    {"question": "Who?", "answer": "Bo Ek, a baker.", "prefix": "", "entity": "Rome", "gt_entity": "baker"},
]


def test_the_entity_of_a_row_is_where_its_answer_says_it(engine):
    found = depth.spans(engine.tokenizer, ENTITIES)
    assert sorted(found) == [0, 1, 3]  # the third answer does not hold its entity
    for number, said in ((0, "Oslo"), (1, "Bo Ek"), (3, "baker")):
        span = found[number]
        assert engine.tokenizer.decode(span.token_ids[span.first : span.last]).strip() == said
        text = engine.tokenizer.decode(span.token_ids, skip_special_tokens=True)
        row = ENTITIES[number]
        assert text.endswith(f"Question: {row['question']}\nAnswer: {row['answer']}")


def test_all_blocks_are_patched_in_one_pass_as_one_by_one(engine, tokenizer):
    other = tiny_engine(engine.tokenizer, seed=3)
    blocks = layers_of(engine).blocks
    (span, *_) = depth.spans(engine.tokenizer, ENTITIES).values()
    states = depth.states_of(other, span)
    found = depth._log_probs(engine, span, blocks, list(states))
    places, wanted = slice(span.first - 1, span.last - 1), span.token_ids[span.first : span.last]
    for number, block in enumerate(blocks):

        def hook(_, __, output, number=number):
            output = output.clone()
            output[:, places] = states[number]
            return output

        handle = block.register_forward_hook(hook)
        with torch.inference_mode():
            logits = engine.module(input_ids=torch.tensor([span.token_ids])).logits[0, places].double()
        handle.remove()
        chances = logits.log_softmax(-1)
        assert found[number] == pytest.approx(
            np.mean([float(chances[at, token]) for at, token in enumerate(wanted)]), abs=1e-5
        )


def test_the_depth_score_is_in_the_table_where_there_are_entities(tmp_path, saved_model):
    roles = ("original", "unlearned", "retrained", "retrained")
    taken = depth.Depth(rows=ENTITIES, roles=roles)
    with loaded(resolve(str(saved_model)), ModelOptions(device="cpu")) as original:
        other = tiny_engine(original.tokenizer, seed=3)
        for place, model in enumerate((original, original, other, other)):
            taken.look(place, model)
        taken.take(original)
    assert taken.figure(0).value is None
    assert "this is it" in taken.figure(2).missing
    same = taken.figure(3)
    assert (same.value, same.rows > 0) == (1.0, True)  # erased as deep as in the control, whose equal it is
    assert taken.figure(1).value < 1.0  # intact, but for the last block's state, which is listed behind the norm
    assert "FORGET_entities" in depth.Depth(rows=(), roles=roles).figure(1).missing
    assert "--retrained" in depth.Depth(rows=ENTITIES, roles=roles[:2]).figure(1).missing


@pytest.mark.slow
@pytest.mark.skipif(PARITY is None, reason="UNLEARN_AUDIT_PARITY names no folder with the recorded checkpoints")
@pytest.mark.parametrize("form", ["llama3_like", "chatml_like", "plain"])
def test_recorded_checkpoints_give_the_recorded_figures(tmp_path, form):
    folder = Path(PARITY or "") / "end_to_end"
    cases = json.loads((folder / "end_to_end.json").read_text(encoding="utf-8"))["cases"]
    rows = {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("forget", "holdout")
    }
    raws = {}
    for name in ("model", "retrained", "unlearned"):
        where = tmp_path / name
        shutil.copytree(folder / name, where)
        shutil.copytree(folder / f"tokenizer_{form}", where, dirs_exist_ok=True)
        with loaded(resolve(str(where)), ModelOptions(device="cpu")) as found:
            for labels in Labels:
                way = tofu.Way(labels=labels, template=found.tokenizer.chat_template, new_tokens=24)
                raws[name, labels.value.replace("-", "_")] = tofu.measured(found, rows, way)
    compared = 0
    for case in cases:
        if case.get("form") != form or "checkpoint" not in case or "pad_token" in case:
            continue
        figures = tofu.against(raws[case["checkpoint"], case["labels"]], raws["retrained", case["labels"]])
        values = {one.name: one.value for one in figures}
        for theirs, ours in NAMES.items():
            if theirs in case["expected"]:
                assert values[ours] == pytest.approx(case["expected"][theirs], rel=1e-4, abs=1e-5), (case["id"], theirs)
                compared += 1
    assert compared >= 60
