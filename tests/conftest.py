"""Shared by all tests: tiny models of several architectures on one small tokenizer. No test reaches the network."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["GITHUB_ACTIONS"] = ""  # the tests' own pipeline is not to be told of their audits
os.environ["OMP_NUM_THREADS"] = "1"  # each of two workers and of what they start has one core

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import (
    CHATML,
    SWITCHING,
    tiny_engine,
    tiny_module,
    tiny_tokenizer,
)

__all__ = ["ARCHITECTURES", "CHATML", "LLAMA2", "SWITCHING", "saved_model", "tiny_engine", "tiny_module", "tokenizer"]

torch.set_num_threads(1)

# Llama-2 writes a space before the answer; the space belongs to the answer's first token.
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]"
    "{% else %}{{ ' ' + m.content + ' </s>' }}{% endif %}{% endfor %}"
)


LONGEST = ("science/test_commands.py", "wheel/test_wheel.py", "relearning/test_relearning.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest begin, so that two workers end together. The first makes audits that others read."""

    def turn(item: pytest.Item) -> int:
        return next((place for place, name in enumerate(LONGEST) if item.path.as_posix().endswith(name)), len(LONGEST))

    items.sort(key=turn)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 400 tokens."""
    return tiny_tokenizer()


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A tiny checkpoint on disk."""
    directory = tmp_path_factory.mktemp("tiny")
    tiny_module("llama", len(tokenizer)).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
