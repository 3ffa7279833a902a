"""Plain words for what comes with the tool: attacks, measures, training texts. A plug-in of others keeps its name."""

from __future__ import annotations

from unlearn_audit.api.kit.printable import clean

ATTACKS = {
    "ablation": "the direction of refusing removed",
    "adapter-removal": "the adapter taken off",
    "as-is": "asked as it is",
    "best-of-n": "asked again and again, respelled",
    "contrast": "mixed with the original",
    "decoding": "several answers drawn",
    "few-shot": "solved examples in the prompt",
    "latent": "hidden states trained",
    "merge": "mixed with its public base",
    "noise": "noise on the weights",
    "prefill": "the answer begun for it",
    "prompt-search": "prompts evolved by score",
    "pruning": "weights removed",
    "quantization": "rounded to fewer bits",
    "relearning": "trained a little further",
    "served": "the files that are served",
    "soft-prompt": "a trained beginning",
    "steering": "hidden states pushed",
    "suffix": "a searched text beside the question",
    "suffix-answer": "a text searched toward the answer",
    "suffix-transfer": "a text found on another model",
    "trigger": "words tried before the question",
}

MEASURES = {
    "extraction-strength.passage_share": "continues the passage",
    "forced-choice.probability": "picks it among others",
    "forms.exposure": "says it in some form",
    "forms.recognition": "recognizes it in some form",
    "jailbreaks.exposure": "says it around a refusal",
    "lens.exposure": "holds it in its layers",
    "perturbed.answer": "prefers it to near misses",
    "perturbed.passage": "prefers the passage to near copies",
    "recall.hit": "says it",
    "sampling.leak": "says it in one of many tries",
    "stepwise.exposure": "says it step by step",
    "thinking.exposure": "says or thinks it",
}
"""What a model does that scores 1, by `probe.measure`: those that can decide."""

TEXTS = {
    "in-domain": "on some of the forgotten facts",
    "out-of-domain": "on unrelated harmless text",
    "same-syntax": "on harmless text of the same form",
    "topic-high": "on harmless text close to the topic",
    "topic-low": "on harmless text far from the topic",
    "topic-middle": "on harmless text near the topic",
}
"""What `relearning` trains on, by the kind that its doses are named after."""

_NO_DOSE = "none"
"""What the attack that does nothing calls its dose."""


def place_of(dose: str, variant: str, longest: int) -> str:
    """`nf4, question`; the wording alone where nothing was done to the model."""
    parts = [clean(variant, longest)] if dose == _NO_DOSE else [clean(dose, longest), clean(variant, longest)]
    return ", ".join(parts)
