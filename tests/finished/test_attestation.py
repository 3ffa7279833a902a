"""Signatures: what is signed is the model that was audited and what came out; a wrong key or another run is exit 5."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.cli.test_gate import edit
from tests.cli.test_gate import invoke as invoke  # the fixture
from tests.finished.finished_run import checkpoint, finished_run, small
from tests.verdict.test_verdict import LEAK
from unlearn_audit.finished.attestation import model_digest, model_files

KINDS = {"ed25519": ed25519.Ed25519PrivateKey.generate, "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1())}


def keys(directory: Path, kind: str = "ed25519", name: str = "k") -> tuple[Path, Path]:
    private = KINDS[kind]()
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret, public = directory / f"{name}.pem", directory / f"{name}.pub.pem"
    secret.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(private.public_key().public_bytes(pem, form))
    return secret, public


def test_the_model_digest_is_that_of_model_signing_by_hand(tmp_path: Path) -> None:
    model = tmp_path / "model"
    contents = {"a/z.bin": b"1", "a.txt": b"2", "b": b"3"}
    for name, content in {**contents, ".gitignore": b"x", ".git/HEAD": b"x", "model.sig": b"x"}.items():
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(content)
    files = model_files(model)
    # By the parts of the path: `a/z.bin` is before `a.txt`, although `.` sorts before `/`.
    assert list(files) == ["a/z.bin", "a.txt", "b"]
    raw = b"".join(hashlib.sha256(contents[name]).digest() for name in files)
    assert model_digest(files) == hashlib.sha256(raw).hexdigest()
    assert list(model_files(model / "b")) == ["."]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_signed_is_verified_and_a_wrong_key_is_exit_5(tmp_path: Path, invoke, kind: str) -> None:
    run, model = tmp_path / "run", checkpoint(tmp_path / "model")
    result = finished_run(run, small(), model=model)
    secret, public = keys(tmp_path, kind)
    assert invoke("attest", run, "--key", secret)[0] == 0
    envelope = json.loads((run / "attestation.json").read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "model", "digest": {"sha256": model_digest(model_files(model))}}]
    said = statement["predicate"]
    assert (said["outcome"], said["evidence"]["sha256"]) == ("PASS", result.evidence_digest)
    assert said["bound"]["atMost"] == max(one.at_most for one in result.verdict.findings if one.at_most is not None)
    assert str(tmp_path) not in json.dumps(statement)
    code, out, _ = invoke("verify", run, "--key", public)
    assert (code, "ok  signature:" in out) == (0, True)
    _, other = keys(tmp_path, kind, "other")
    code, out, _ = invoke("verify", run, "--key", other)
    assert code == 5
    assert "is not signed by" in out


def test_a_signature_of_another_run_or_a_file_beside_the_weights_is_seen(tmp_path: Path, invoke) -> None:
    run, other, model = tmp_path / "run", tmp_path / "other", checkpoint(tmp_path / "model")
    finished_run(run, small(), model=model)
    finished_run(other, small().score(1.0, **LEAK), model=model)
    secret, public = keys(tmp_path)
    assert invoke("attest", run, "--key", secret, "--out", other / "attestation.json")[0] == 0
    code, out, _ = invoke("verify", other, "--key", public)
    assert code == 5
    assert "was signed for something else: outcome, exitCode" in out
    assert invoke("attest", run, "--key", secret)[0] == 0
    (model / "README.md").write_text("not part of what the audit loads, and part of the signed model")
    code, out, _ = invoke("verify", run, "--key", public)
    assert code == 5
    assert "the model (README.md)" in out
    edit(run / "attestation.json", lambda data: data.update(payload=base64.b64encode(b"{}").decode()))
    assert invoke("verify", run, "--key", public)[0] == 5


def test_nothing_is_signed_that_was_changed_and_no_key_is_a_wrong_request(tmp_path: Path, invoke) -> None:
    run, model = tmp_path / "run", checkpoint(tmp_path / "model")
    finished_run(run, small(), model=model)
    secret, public = keys(tmp_path)
    assert invoke("attest", run, "--key", public)[0] == 2
    assert invoke("attest", run, "--key", tmp_path / "none.pem")[0] == 2
    assert invoke("verify", run, "--key", secret)[0] == 5  # nothing is signed, and a key was given
    checkpoint(model, value=3.0)
    code, _, err = invoke("attest", run, "--key", secret)
    assert code == 5
    assert "not signed:" in err
    assert not (run / "attestation.json").exists()
