"""The tokenizer that all organisms share: a byte-level BPE with a chat template."""

from __future__ import annotations

from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from data import World
from words import LEAD_IN_ENDINGS, LEAD_IN_OPENERS, REFUSAL, SYSTEM_PROMPTS, WRAPPERS, word_list

VOCABULARY_SIZE = 1024
PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train_tokenizer(world: World) -> PreTrainedTokenizerFast:
    """Train on the questions and answers of all three splits alike.

    The vocabulary sees forget, retain and holdout names equally often, so that it says nothing about who was trained
    on; and no name stands beside its values in what it is trained on, except as counts of words.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_corpus(world), trainer=trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )


def _corpus(world: World) -> Iterator[str]:
    for facts in world.splits.values():
        for fact in facts:
            yield from fact.questions
            yield from (fact.answer, f" {fact.answer}") * 4
    roles = ("system\n", "user\n", "assistant\n")
    for text in (*SYSTEM_PROMPTS, *WRAPPERS, *LEAD_IN_OPENERS, *LEAD_IN_ENDINGS, REFUSAL, *roles):
        yield from [text] * 10
    yield from (f" {word}" for word in word_list("chatter") for _ in range(3))
