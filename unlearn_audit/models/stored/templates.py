"""Chat templates are programs of a checkpoint's author: each is run once apart, with little time and memory."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from unlearn_audit.api.user_files import is_there, read_json, read_text
from unlearn_audit.errors import AuditError

if TYPE_CHECKING:
    import psutil

SECONDS, MEGABYTES, MOST_CHARACTERS = 2, 400, 1_000_000
"""What a template may take of processor and memory for a few short conversations. It may raise nothing to a power."""

_PATIENCE = 60
"""Seconds by the clock, for what takes no processor time: a busy machine must not refuse a harmless template."""

_BY_CHANCE = 10
_TRIAL = """
import json, math, resource, sys, time
SECONDS, MEGABYTES, MOST_CHARACTERS = map(int, sys.argv[1:])
import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
class Generation(Extension):
    tags = {"generation"}
    def parse(self, parser):
        line = next(parser.stream).lineno
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)
resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + SECONDS,) * 2)
resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES << 20, MEGABYTES << 20))
def refuse(message):
    raise jinja2.exceptions.TemplateError(message)
environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
environment.filters["tojson"] = lambda value, **_: json.dumps(value)
environment.globals["raise_exception"] = refuse
environment.globals["strftime_now"] = lambda form: form
template, user = sys.stdin.read(), {"role": "user", "content": "Who wrote this?"}
system, answer = {"role": "system", "content": "Be brief."}, {"role": "assistant", "content": "I."}
long = {"role": "user", "content": "What was the name of the town? " * 100}
tokens = {name + "_token": "<" + name + ">" for name in ("bos", "eos", "pad", "unk", "sep", "cls", "mask")}
cases = [(messages, {}) for messages in ([user], [system, user], [user, answer], [long])]
cases += [([user], dict.fromkeys(("enable_thinking", "thinking"), on)) for on in (True, False)]
try:
    if list(environment.parse(template).find_all(jinja2.nodes.Pow)):
        sys.exit(9)  # one power of integers may take for ever, and nothing can stop it
    if any(one.name == "random" for one in environment.parse(template).find_all(jinja2.nodes.Filter)):
        sys.exit(10)
    if any(one.name == "lipsum" for one in environment.parse(template).find_all(jinja2.nodes.Name)):
        sys.exit(10)
    compiled = environment.from_string(template)
except (MemoryError, RecursionError):
    sys.exit(9)
for messages, switches in cases:
    try:
        text = compiled.render(messages=messages, add_generation_prompt=len(messages) == 1, **tokens, **switches)
    except (MemoryError, RecursionError):
        sys.exit(9)
    except Exception:
        continue  # told by those who write prompts, with the tokenizer's own names at hand
    if len(text) > MOST_CHARACTERS:
        sys.exit(9)
"""


@cache
def check_template(template: str) -> None:
    """Refuses a chat template that does not end, or writes without end.

    Raises:
        AuditError: naming the limit.
    """
    if len(template) > MOST_CHARACTERS:
        raise AuditError(f"the chat template has {len(template)} characters; expected at most {MOST_CHARACTERS}")
    command = [sys.executable, "-I", "-c", _TRIAL, *map(str, (SECONDS, MEGABYTES, MOST_CHARACTERS))]
    try:
        done = subprocess.run(  # noqa: S603 - our own script; the template is its input, run in a sandbox
            command, input=template, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
        ended = done.returncode in (0, 1, _BY_CHANCE)
        by_chance = done.returncode == _BY_CHANCE
    except subprocess.TimeoutExpired:
        ended = by_chance = False
    if by_chance:
        raise AuditError(
            "the chat template draws at random (`random` or `lipsum`), so that the same question is another one each "
            "time; try --chat-template none or a FILE"
        )
    if not ended:
        raise AuditError(
            f"the chat template takes more than {SECONDS} s, {MEGABYTES} MB or {MOST_CHARACTERS} characters to write "
            "short conversations, or takes a power; try --chat-template none or a FILE"
        )


def check_stored(directory: Path, choice: str = "auto") -> None:
    """The same for what a checkpoint's files hold, or for the file that was chosen, before a model library is loaded.

    Args:
        directory: of the checkpoint; a GGUF file's template is read with its tokenizer.
        choice: as `--chat-template`: auto, none, a file, or the folder of a checkpoint that has one.

    Raises:
        AuditError: naming the file or directory, and the limit.
    """
    texts: Iterator[str] = iter(())
    if choice == "auto" and directory.is_dir():
        texts = _stored(directory)
    elif choice not in ("auto", "none") and Path(choice).exists():
        directory, texts = Path(choice), iter([chosen_template(choice)])
    for template in dict.fromkeys(texts):
        try:
            check_template(template)
        except AuditError as error:
            raise AuditError(f"{directory}: {error}") from error


def chosen_template(choice: str) -> str:
    """The text of a template file, or of the template in force of the checkpoint in a folder.

    Raises:
        AuditError: there is none, or it cannot be read.
    """
    place = Path(choice)
    try:
        text = _in_force(place) if place.is_dir() else read_text(place)
    except AuditError as error:
        raise AuditError(f"--chat-template {choice}: cannot be read; give auto, none or a file") from error
    if text is None:
        raise AuditError(f"--chat-template {choice}: no chat template lies in that folder; give auto, none or a file")
    return text


def _in_force(directory: Path) -> str | None:
    """The template that transformers would take where none is named."""
    if is_there(file := directory / "chat_template.jinja"):
        return read_text(file)
    for name in ("tokenizer_config.json", "chat_template.json"):
        settings = read_json(directory / name) if is_there(directory / name) else None
        stored = settings.get("chat_template") if isinstance(settings, dict) else None
        if isinstance(stored, list):
            stored = {one.get("name"): one.get("template") for one in stored if isinstance(one, dict)}
        if found := next(_texts(stored.get("default") if isinstance(stored, dict) else stored), None):
            return found
    return None


def _stored(directory: Path) -> Iterator[str]:
    """The template in force and those beside it. What cannot be read is told by who loads it."""
    for path in (directory / "chat_template.jinja", *sorted(directory.glob("additional_chat_templates/*.jinja"))):
        if is_there(path):
            yield read_text(path)
    for name in ("tokenizer_config.json", "chat_template.json", "processor_config.json"):
        with suppress(AuditError):
            settings = read_json(directory / name) if is_there(directory / name) else None
            yield from _texts(settings.get("chat_template") if isinstance(settings, dict) else None)


def _texts(value: object) -> Iterator[str]:
    """One text, or several with names: as a list of both, or as a dictionary."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one.get("template") if isinstance(one, dict) else one)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Ends what takes longer, in the main thread, where alone a timer can, and what takes more memory.

    Raises:
        AuditError: it took longer.
        MemoryError: it took more than `MEGABYTES`.
    """
    with _little_memory(), _in_time(seconds):
        yield


@contextmanager
def _little_memory() -> Iterator[None]:
    """Gives the process no more than `MEGABYTES` of address space beyond what it has, where a system can."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = _process(os.getpid()).memory_info().vms + (MEGABYTES << 20)
    if before[0] != resource.RLIM_INFINITY:
        most = min(most, before[0])
    with suppress(ValueError, OSError):  # a system without such a limit
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@cache
def _process(number: int) -> psutil.Process:
    """A process by its number; made once, since that reads several files, and each prompt is written under a limit."""
    import psutil  # of the extra `run`, which alone runs templates

    return psutil.Process(number)


@contextmanager
def _in_time(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        raise AuditError(f"the chat template takes more than {seconds:g} s; try --chat-template none or a FILE")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)  # of the processor
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
