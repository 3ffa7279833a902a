"""Commands of ours in copies of one process that has loaded what they need: a copy takes milliseconds, imports seconds.

Each copy is a process of its own, with its own working directory and exit code. The first copy that imports a module
tells its name, and the next ones start with it. What a test wants to see at the start of an interpreter, or about
signals, needs a process that was not copied.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

SERVER = """
import importlib, json, os, runpy, sys, traceback

def answer(asked):
    code = 1
    try:
        os.chdir(asked["cwd"])
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.argv = asked["argv"]
        if asked["code"] is None:
            runpy.run_module("unlearn_audit", run_name="__main__", alter_sys=True)
        else:
            exec(compile(asked["code"], "<code>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush(), sys.stderr.flush()
            with open(asked["loaded"], "w") as file:
                json.dump(list(sys.modules), file)
        finally:
            os._exit(code)

exec(sys.argv[1])
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        answer(asked)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(asked["loaded"]) as file:
        new = [name for name in json.load(file) if name not in sys.modules and name != "unlearn_audit.__main__"]
    for name in new:
        try:
            importlib.import_module(name)
        except Exception:  # not everything in sys.modules can be imported by its name
            pass
    print(json.dumps(code), flush=True)
"""


class Warm:
    """One process, and what is run in its copies.

    Args:
        python: the interpreter.
        env: its whole environment; that of this process where None.
        first: code that it runs at its start.
    """

    def __init__(
        self, python: str | Path = sys.executable, *, env: Mapping[str, str] | None = None, first: str = ""
    ) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="warm-")
        self._process = subprocess.Popen(
            [str(python), "-c", SERVER, first],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=None if env is None else dict(env),
            cwd=self._files.name,  # the working directory is first on the path, and must have nothing to import
        )

    def command(self, *args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`python -m unlearn_audit ARGS`."""
        return self._run(["unlearn-audit", *map(str, args)], None, cwd)

    def code(self, code: str, *args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`python -c CODE ARGS`."""
        return self._run(["-c", *map(str, args)], code, cwd)

    def _run(self, argv: list[str], code: str | None, cwd: Path | None) -> subprocess.CompletedProcess[str]:
        files = {name: Path(self._files.name) / name for name in ("out", "err", "loaded")}
        asked = {"argv": argv, "code": code, "cwd": str(cwd or Path.cwd()), **{n: str(f) for n, f in files.items()}}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        code_of_end = json.loads(self._process.stdout.readline())
        texts = [files[name].read_text(encoding="utf-8") for name in ("out", "err")]
        return subprocess.CompletedProcess(argv, code_of_end, *texts)

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()
        self._files.cleanup()


def copied(call: Callable[[], object], files: Path) -> subprocess.CompletedProcess[str]:
    """A function in a copy of this very process, with all that it has loaded; its exit code is 1 where it raises.

    Args:
        call: what is called.
        files: a folder for what it prints.
    """
    out, err = files / "copied.out", files / "copied.err"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: those of a test only wait
        child = os.fork()
    if not child:
        code = 1
        try:
            for number, file in ((1, out), (2, err)):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
            sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
            call()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = [file.read_text(encoding="utf-8") if file.exists() else "" for file in (out, err)]
    return subprocess.CompletedProcess([], code, *texts)
