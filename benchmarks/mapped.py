"""How much memory one process and two take that hold the same model, by the kernel's count of shared pages (Linux).

`python -m benchmarks.mapped` makes a Llama of 114 M weights with random values, stores it in float32 and in bfloat16,
and has one and then two processes load it as an audit on the CPU does. It prints the proportional set size (PSS) of all
processes together, in which a page that n processes share counts 1/n in each, less what each had before it loaded.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HOLDS = """
import sys
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import resolve
from unlearn_audit.spec.spec import ModelOptions

def kib():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

before = kib()
engine = load(resolve(sys.argv[1]), ModelOptions(device="cpu"))
sum(float(weight.sum()) for weight in engine.module.parameters())
print("loaded", flush=True)
sys.stdin.readline()
print(kib() - before, flush=True)
sys.stdin.readline()
"""


def taken(directory: Path, processes: int) -> float:
    """MiB that so many processes take together which hold the model in a directory."""
    held = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(processes)
    ]
    if any(_line(one) != "loaded" for one in held):
        raise SystemExit(f"{directory}: a process could not load it")
    for one in held:
        _go_on(one)
    kib = [int(_line(one)) for one in held]  # all still hold it
    for one in held:
        _go_on(one)
        one.wait()
    return sum(kib) / 1024


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def main() -> int:
    """The command."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from unlearn_audit.testing.models import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    sizes = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    module = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=False, **sizes))
    weights = sum(weight.numel() for weight in module.parameters())
    print(f"{weights / 1e6:.0f} M weights, {4 * weights / 2**20:.0f} MiB in float32")
    with tempfile.TemporaryDirectory() as home:
        for dtype in (torch.float32, torch.bfloat16):
            directory = Path(home) / str(dtype)
            module.to(dtype).save_pretrained(directory)
            tokenizer.save_pretrained(directory)
            one, two = (taken(directory, processes) for processes in (1, 2))
            print(f"stored in {dtype}: one process {one:.0f} MiB, two together {two:.0f} MiB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
