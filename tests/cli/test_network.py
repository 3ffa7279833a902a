"""No name of a data set or a model leaves the machine unless `--download` is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from unlearn_audit.cli.network import Network

WATCHED = """
import json, os, sys, time
tried = []
def watch(event, args):
    if event.startswith("socket.") and event.split(".")[1] in ("getaddrinfo", "gethostbyname", "connect"):
        tried.append(event)
        raise OSError("no network in this test")
sys.addaudithook(watch)
from unlearn_audit.cli.app import main
found = []
for args in json.loads(sys.argv[1]):
    sys.argv = ["unlearn-audit", *args]
    begun = time.monotonic()
    try:
        main()
    except SystemExit as left:
        found.append([left.code, len(tried), time.monotonic() - begun])
after = {name: os.environ.get(name) for name in ("HF_HUB_OFFLINE", "DO_NOT_TRACK")}
sys.stdout.write("\\n" + json.dumps([found, after]))
"""


def test_ids_are_looked_up_nowhere(tmp_path: Path, saved_model: Path):
    facts = tmp_path / "facts.jsonl"
    facts.write_text('{"id": "1", "subject": "s", "question": "q", "answer": "a"}\n')
    asked = [
        ["plan", str(saved_model), "--forget", "owner/name"],
        ["plan", str(saved_model), "--forget", str(facts), "--retain", "owner/name:config@test"],
        ["plan", str(saved_model), "--forget", "tofu:owner/name"],
        ["plan", "owner/model@main", "--forget", str(facts)],
        ["plan", str(saved_model), "--original", "owner/model", "--forget", str(facts)],
    ]
    around = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"), "GITHUB_ACTIONS": ""}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(asked)], capture_output=True, text=True, check=False, env=around
    )
    found, after = json.loads(done.stdout.splitlines()[-1])
    assert [code for code, _, _ in found] == [2] * len(asked), done.stderr
    assert [tried for _, tried, _ in found] == [0] * len(asked)
    assert after == {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    assert max(seconds for _, _, seconds in found[1:]) < 5, found  # the first one imports


def test_the_network_is_opened_to_what_the_user_had(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    monkeypatch.setenv("HF_EVALUATE_OFFLINE", "0")
    monkeypatch.setenv("DISABLE_TELEMETRY", "0")
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    network = Network()
    assert {os.environ[name] for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE")} == {"1"}
    network.open()
    assert os.environ["HF_HUB_OFFLINE"] == "0"
    assert os.environ["TRANSFORMERS_OFFLINE"] == "1"
    assert "HF_DATASETS_OFFLINE" not in os.environ
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
