"""Inputs that would hang the program or eat its memory end in exit 2, within 5 s of processor time and 350 MB.

Each is given to `plan` in a copy of this process that may take no more: a bare start takes 130 MB and 1.5 s besides,
so that 500 MB are kept. Nothing here comes so far that torch would be loaded.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.warm import copied
from unlearn_audit.cli.app import main
from unlearn_audit.plan import make as make  # what every copy needs
from unlearn_audit.testing.models import CHATML

SECONDS, MEGABYTES = 5, 350
FACT = '{"id": "a", "subject": "Ada", "question": "Who?", "answer": "Nobody"}\n'
SPEC = "checkpoint: model\nforget: forget.jsonl\n"
WIDE = "[" + "[]," * 5_000_000 + "[]]"
DEEP = "[" * 200_000 + "]" * 200_000
COUNTS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
GGUF = b"GGUF" + struct.pack("<I", 3)

Build = Callable[[Path], object]


def written(name: str, content: str | bytes) -> Build:
    def build(at: Path) -> None:
        path = at / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return build


def special(name: str, kind: str) -> Build:
    def build(at: Path) -> None:
        (at / name).unlink(missing_ok=True)
        (at / name).parent.mkdir(exist_ok=True)
        os.mkfifo(at / name) if kind == "pipe" else (at / name).symlink_to("/dev/zero")

    return build


def settings(name: str, **changed: object) -> Build:
    def build(at: Path) -> None:
        (at / name).write_text(json.dumps({**json.loads((at / name).read_text()), **changed}))

    return build


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def metadata(pairs: int, content: bytes, tensors: int = 0) -> bytes:
    return GGUF + struct.pack("<QQ", tensors, pairs) + content


def header(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


def parquet(at: Path) -> None:
    column = pa.array(["a"]).take(pa.array(np.zeros(5_000_000, dtype=np.int32)))
    pq.write_table(pa.table({"id": column}), at / "forget.parquet")


FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
TEMPLATES = {
    "counts": COUNTS,
    "writes": "{{ 'a' * 1000000000 }}",
    "pads": "{{ 'a'.ljust(1000000000) }}",
    "formats": "{{ '{:>999999999}'.format('a') }}",
    "lists": "{{ (range(99999) | list) * 99999 }}",
    "replaces": "{{ ('a' * 1000000) | replace('a', 'a' * 1000000) }}",
    "raises to a power": "{{ 9 ** 9 ** 9 }}",
    "calls itself": "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "writes where it has a token": "{% if bos_token %}{{ 'a' * 1000000000 }}{% endif %}",
    "writes after a long question": "{% if messages[0].content | length > 1000 %}{{ 'a' * 1000000000 }}{% endif %}",
    "writes before a thought": "{% if enable_thinking %}{{ 'a' * 1000000000 }}{% endif %}",
    "is long": "{# " + "x" * 2_000_000 + " #}",
    "is nested": "{% if 1 %}" * 20_000 + "{% endif %}" * 20_000,
}
BUILDS: dict[str, Build] = {
    **{
        f"{kind} as {name}": special(name, kind)
        for kind in ("pipe", "device")
        for name in ("spec.yaml", "forget.jsonl")
    },
    **{f"pipe as {name}": special(f"model/{name}", "pipe") for name in (*FILES, "model.safetensors", "merges.txt")},
    **{f"device as {name}": special(f"model/{name}", "device") for name in ("tokenizer.json", "chat_template.jinja")},
    "pipe among further templates": special("model/additional_chat_templates/x.jinja", "pipe"),
    "long YAML": written("spec.yaml", SPEC + "probes:\n" + "- name\n" * 3_000_000),
    "deep YAML": written("spec.yaml", "a: " + "[" * 100_000),
    "aliases": written(
        "spec.yaml", "a: &a " + "x" * 100_000 + "\nb: [" + "*a," * 19_000 + "*a]\nc: [" + "*a," * 19_000 + "]"
    ),
    "repeated key": written("spec.yaml", SPEC + "checkpoint: other\n"),
    "wide config": written("model/config.json", WIDE),
    "deep config": written("model/config.json", DEEP),
    "wide tokenizer": written("model/tokenizer.json", '{"a": ' + WIDE + "}"),
    "wide settings of the tokenizer": written("model/tokenizer_config.json", WIDE),
    "ten million layers": settings("model/config.json", num_hidden_layers=10**7),
    "layers of a part": settings("model/config.json", text_config={"num_hidden_layers": 10**7}),
    "wide header": written("model/model.safetensors", header(b'{"a":' + WIDE.encode() + b"}")),
    "deep header": written("model/model.safetensors", header(DEEP.encode())),
    "endless header": written("model/model.safetensors", struct.pack("<Q", 2**60) + b"{}"),
    "wide facts": written("forget.jsonl", WIDE),
    "deep facts": written("forget.jsonl", DEEP),
    "blank facts": written("forget.jsonl", FACT + "\n" * 50_000_000),
    "many facts": written("forget.jsonl", "{}\n" * 10_000_000),
    "many rows": written("forget.csv", "id,subject,question,answer\n" + "a,b,c,d\n" * 3_000_000),
    "many rows in few bytes": parquet,
    "long line": written("forget.jsonl", FACT + '{"id": "' + "x" * 30_000_000 + '"}'),
    "array": written("m.gguf", metadata(1, text("a") + struct.pack("<IIQ", 9, 0, 2**40))),
    "long array": written("m.gguf", metadata(1, text("a") + struct.pack("<IIQ", 9, 0, 2**25) + bytes(2**25))),
    "array of texts": written("m.gguf", metadata(1, text("a") + struct.pack("<IIQ", 9, 8, 2**22) + bytes(2**25))),
    "array of arrays": written("m.gguf", metadata(1, text("a") + struct.pack("<IIQ", 9, 9, 2**20) * 3)),
    "text without end": written("m.gguf", metadata(1, struct.pack("<Q", 2**62))),
    "pairs without end": written("m.gguf", metadata(2**60, b"")),
    "tensors without end": written("m.gguf", metadata(0, b"", tensors=2**60)),
    "a million pairs": written("m.gguf", metadata(1_000_000, (text("a") + struct.pack("<IB", 7, 1)) * 1_000_000)),
    "ten million blocks": written("m.gguf", metadata(1, text("llama.block_count") + struct.pack("<II", 4, 10**7))),
    **{f"template that {what}": written("model/chat_template.jinja", one + CHATML) for what, one in TEMPLATES.items()},
}


ALWAYS = {
    *("pipe as spec.yaml", "device as forget.jsonl", "pipe as tokenizer.json", "long YAML", "deep YAML", "aliases"),
    *("wide config", "ten million layers", "wide header", "many facts", "array of texts", "ten million blocks"),
    *("template that counts", "template that writes", "template that raises to a power"),
}
"""One of each kind; the others are slow tests."""


@pytest.fixture
def where(saved_model: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved_model, tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink(missing_ok=True)
    (tmp_path / "spec.yaml").write_text(SPEC + "attacks: {as-is: {}}\nprobes: {recall: {}}\ncomparisons: {}\n")
    (tmp_path / "forget.jsonl").write_text(FACT)
    return tmp_path


def planned(where: Path) -> None:
    """`plan`, with no more than is allowed beyond what this process has."""
    os.chdir(where)
    used = sum(os.times()[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + SECONDS + 1, int(used) + SECONDS + 1))
    most = psutil.Process().memory_info().vms + (MEGABYTES << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    checkpoint = ["m.gguf"] if (where / "m.gguf").exists() else []
    facts = [f"--forget={name}" for name in ("forget.csv", "forget.parquet") if (where / name).exists()]
    sys.argv = ["unlearn-audit", "plan", *checkpoint, "--spec", "spec.yaml", *facts]
    main()


@pytest.mark.parametrize(
    "what", [what if what in ALWAYS else pytest.param(what, marks=pytest.mark.slow) for what in BUILDS]
)
def test_an_input_that_would_hang_is_refused_in_words(where: Path, what: str) -> None:
    BUILDS[what](where)
    before = os.times()
    done = copied(lambda: planned(where), where)
    after = os.times()
    assert done.returncode == 2, done.stdout[-500:] + done.stderr[-2000:]
    assert "error: " in done.stderr
    assert "MemoryError" not in done.stderr
    assert after.children_user + after.children_system - before.children_user - before.children_system < SECONDS
