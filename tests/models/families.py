"""Tokenizers of eight families, trained here on a few lines: what they put around and into a text is what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "Question: Where was Ada Karsk born?\nAnswer: Ada Karsk was born in the town of Osaka.",
    "Step 1: I recall. Step 2: it was Osaka, in 1987. \n\n Lima, Lyon; <think> perhaps </think>",
    "<|start|>user\nWho wrote it?<|end|>\n<|start|>assistant\n[INST] Who? [/INST] system: Be brief.",
]
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "[CLS]", "[SEP]", "<|start|>", "<|end|>", "<think>", "</think>"]


def _trained(model: object, trainer: object, before: object, decoder: object, *, replaced: bool = False) -> Tokenizer:
    made = Tokenizer(model)
    if replaced:  # as sentencepiece: blanks are letters
        made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = before
    made.decoder = decoder
    made.train_from_iterator(TEXTS, trainer)
    return made


def _around(made: Tokenizer, single: str) -> Tokenizer:
    known = [(name, made.token_to_id(name)) for name in SPECIAL if name in single.split()]
    made.post_processor = processors.TemplateProcessing(single=single, special_tokens=known)
    return made


def _byte_bpe() -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=SPECIAL, initial_alphabet=alphabet)
    return _trained(models.BPE(), trainer, pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel())


def _unigram(scheme: str = "always") -> Tokenizer:
    letters = sorted({letter for text in TEXTS for letter in text} | {"▁"})
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=SPECIAL, unk_token="<unk>", initial_alphabet=letters
    )
    around = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    return _trained(models.Unigram(), trainer, around, decoders.Metaspace(prepend_scheme=scheme))


def _byte_fallback() -> Tokenizer:
    pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=520, special_tokens=[*SPECIAL, *pieces])
    back = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    split = pre_tokenizers.Split("▁", "merged_with_next")
    return _trained(models.BPE(byte_fallback=True, unk_token="<unk>"), trainer, split, back, replaced=True)


def _word_piece() -> Tokenizer:
    letters = sorted({letter for text in TEXTS for letter in text})
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL, initial_alphabet=letters)
    split = pre_tokenizers.Sequence([pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Split(" ", "removed")])
    return _trained(models.WordPiece(unk_token="<unk>"), trainer, split, decoders.WordPiece(cleanup=False))


def _letters() -> Tokenizer:
    letters = sorted({letter for text in TEXTS for letter in text})
    made = Tokenizer(
        models.BPE({name: place for place, name in enumerate([*SPECIAL, *letters])}, [], unk_token="<unk>")
    )
    made.add_special_tokens(SPECIAL)
    made.decoder = decoders.Fuse()
    return made


MADE: dict[str, Callable[[], Tokenizer]] = {
    "byte BPE": _byte_bpe,
    "byte BPE with BOS": lambda: _around(_byte_bpe(), "<s> $A"),
    "byte BPE with EOS behind": lambda: _around(_byte_bpe(), "$A </s>"),
    "unigram with a blank before": lambda: _around(_unigram(), "<s> $A"),
    "unigram with EOS behind": lambda: _around(_unigram("first"), "$A </s>"),
    "BPE with byte fallback": lambda: _around(_byte_fallback(), "<s> $A"),
    "word pieces": lambda: _around(_word_piece(), "[CLS] $A [SEP]"),
    "letters": lambda: _around(_letters(), "<s> $A </s>"),
}


@cache
def family(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a family."""
    return PreTrainedTokenizerFast(
        tokenizer_object=MADE[name](),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        additional_special_tokens=["[CLS]", "[SEP]", "<|start|>", "<|end|>"],
    )


def inside(whole: list[int], part: list[int]) -> Iterator[int]:
    """Where a list stands in another."""
    return (place for place in range(len(whole) - len(part) + 1) if whole[place : place + len(part)] == part)
