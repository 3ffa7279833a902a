"""Shared by all tests: a tiny checkpoint and its tokenizer. No test reaches the network.

Nothing heavy is imported before a fixture needs it: the process that hands out the tests loads this file too.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["GITHUB_ACTIONS"] = ""  # the tests' own pipeline is not to be told of their audits
os.environ["OMP_NUM_THREADS"] = "1"  # each of two workers and of what they start has one core; before torch is loaded

import pytest
from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what it puts into the background so
    signal.signal(signal.SIGINT, signal.default_int_handler)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Llama-2 writes a space before the answer; the space belongs to the answer's first token.
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]"
    "{% else %}{{ ' ' + m.content + ' </s>' }}{% endif %}{% endfor %}"
)


settings.register_profile("house", deadline=None)  # how long an example takes says more of the machine than of us
settings.load_profile("house")

LONGEST = ("science/test_commands.py", "run/test_kills.py", "wheel/test_wheel.py", "relearning/test_relearning.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest begin, so that two workers end together. The first makes audits that others read."""

    def turn(item: pytest.Item) -> int:
        return next((place for place, name in enumerate(LONGEST) if item.path.as_posix().endswith(name)), len(LONGEST))

    items.sort(key=turn)


PRINTS_NOTHING_MUCH = (
    'for one in "$@"; do case "$one" in --print-to-pdf=*) printf "%%PDF-1.4 x" > "${one#*=}";; esac; done'
)


@pytest.fixture(scope="session", autouse=True)
def browser(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where no Chromium is, one that prints an empty document: tests of all formats look at what is around a PDF."""
    from unlearn_audit.report.printing import BROWSERS

    if any(map(shutil.which, BROWSERS)):
        return
    folder = tmp_path_factory.mktemp("browser")
    stand_in_browser(folder)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def stand_in_browser(folder: Path, script: str = PRINTS_NOTHING_MUCH) -> None:
    """Puts a program with a browser's name into a folder."""
    from unlearn_audit.report.printing import BROWSERS

    program = folder / BROWSERS[0]
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 400 tokens."""
    from unlearn_audit.testing.models import tiny_tokenizer

    return tiny_tokenizer()


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A tiny checkpoint on disk."""
    from unlearn_audit.testing.models import tiny_module

    directory = tmp_path_factory.mktemp("tiny")
    tiny_module("llama", len(tokenizer)).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
