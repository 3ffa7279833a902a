"""Loads a checkpoint once, ready for work: safetensors only, no remote code, everything in force recorded."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from unlearn_audit.api.kit.blocks import keep_head_inputs_whole
from unlearn_audit.api.kit.memory import release_memory
from unlearn_audit.errors import AuditError, cause_of
from unlearn_audit.evidence.digests import sha256_text
from unlearn_audit.evidence.files import read_json
from unlearn_audit.evidence.records import ModelRecord
from unlearn_audit.models.adapters import merged, with_adapter
from unlearn_audit.models.batching import Budget
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.references import Checkpoint, Storage, check_unchanged
from unlearn_audit.models.rendering import Renderer, remembering
from unlearn_audit.models.short_cuts import with_short_cuts
from unlearn_audit.models.stored.codes import as_weights, notes_of
from unlearn_audit.models.stored.files import model_files, tensor_tables
from unlearn_audit.models.stored.templates import check_template, chosen_template
from unlearn_audit.spec.spec import ModelOptions

_HARMLESS = {"_from_model_config", "transformers_version", "bos_token_id", "eos_token_id", "pad_token_id"}
_CPU_BATCH_TOKENS = 4096
_GPU_BATCH_TOKENS = 32768


@contextmanager
def loaded(checkpoint: Checkpoint, options: ModelOptions) -> Iterator[Engine]:
    """A model for as long as it is needed; its memory is given back afterwards."""
    engine = load(checkpoint, options)
    try:
        yield engine
    finally:
        del engine
        release_memory()


def load(checkpoint: Checkpoint, options: ModelOptions) -> Engine:
    """A checkpoint as an engine, in evaluation mode.

    Raises:
        AuditError: naming the checkpoint, what transformers said, and what to try.
        IntegrityError: it is no longer the checkpoint that was planned with.
    """
    device = choose_device(options.device)
    _import_uncompiled()
    check_unchanged(checkpoint)
    tokenizer = load_tokenizer(checkpoint, options)
    with _explained(checkpoint):
        module = _load_module(checkpoint, options, device)
    check_unchanged(checkpoint)  # or what was digested is not what was loaded
    module.eval()
    renderer = renderer_of(tokenizer, options)
    tokens = options.max_batch_tokens or (_CPU_BATCH_TOKENS if device.type == "cpu" else _GPU_BATCH_TOKENS)
    return with_short_cuts(Engine(module=module, renderer=renderer, budget=Budget(tokens=tokens)))


@cache
def _import_uncompiled() -> None:
    """Imports bitsandbytes, where it is installed, with its functions as they are.

    It wraps what stands in for kernels that a machine lacks in `torch.compile`, and PEFT imports it: the compiler alone
    takes seconds of every process, and nothing here is compiled.
    """

    def plain(function: Any = None, **_: object) -> Any:
        return function if function is not None else plain

    compiling = torch.compile
    torch.compile = plain  # type: ignore[assignment]
    try:
        with suppress(Exception):  # one that cannot be imported is told of where it is needed
            importlib.import_module("bitsandbytes")
    finally:
        torch.compile = compiling


def load_tokenizer(checkpoint: Checkpoint, options: ModelOptions) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint; an adapter without one has its base's.

    Raises:
        AuditError: naming the checkpoint, what transformers said, and what to try.
    """
    with _explained(checkpoint):
        return _load_tokenizer(checkpoint, options)


def renderer_of(tokenizer: PreTrainedTokenizerBase, options: ModelOptions) -> Renderer:
    """How prompts are written for a tokenizer: by the template in force, on the fixed date, with the fixed system text.

    Raises:
        AuditError: the template cannot be read, or does not end.
    """
    template = chat_template(tokenizer, options.chat_template)
    if template is not None:
        check_template(template)
    plain = Renderer(
        tokenizer=tokenizer, chat_template=template, date=options.date, system_prompt=options.system_prompt
    )
    return remembering(plain)


@contextmanager
def _explained(checkpoint: Checkpoint) -> Iterator[None]:
    """Whatever a checkpoint of unknown origin makes a library raise, as an error of ours with its whole cause."""
    try:
        yield
    except AuditError:
        raise
    except Exception as error:
        raise AuditError(f"{checkpoint.reference}: cannot be loaded: {cause_of(error)}{_hint(error)}") from error


def load_weights(checkpoint: Checkpoint, options: ModelOptions) -> torch.nn.Module:
    """The bare module on the CPU, adapters merged: for diagnostics that compare weights."""
    module = _load_module(checkpoint, options.model_copy(update={"device_map": None}), torch.device("cpu"))
    return merged(module)


def choose_device(name: str) -> torch.device:
    """The device by name; `auto` takes CUDA, then Apple's, then the CPU.

    Raises:
        AuditError: it is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise AuditError(f"--device {name}: unknown device; try auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise AuditError(f"--device {name}: torch finds no CUDA device; try --device auto")
    return device


def chat_template(tokenizer: PreTrainedTokenizerBase, choice: str) -> str | None:
    """The Jinja text in force: the tokenizer's own, none, a file's, or that of the checkpoint in a folder."""
    if choice == "none":
        return None
    if choice == "auto":
        if not tokenizer.chat_template:
            return None
        return str(tokenizer.get_chat_template())
    return chosen_template(choice)


def record(role: str, name: str, checkpoint: Checkpoint, engine: Engine) -> ModelRecord:
    """What was loaded, for the result."""
    module, template = engine.module, engine.renderer.chat_template
    config = getattr(module, "config", None)
    architectures = getattr(config, "architectures", None) or [type(module).__name__]
    return ModelRecord(
        role=role,
        name=name,
        reference=checkpoint.reference,
        digest=checkpoint.digest,
        dtype=str(engine.module_dtype).removeprefix("torch."),
        device=str(engine.device),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        chat_template="none" if template is None else f"sha256:{sha256_text(template)[:16]}",
        architecture=str(architectures[0]),
        notes=(*notes_of(module), *_notes(checkpoint)),
    )


def _notes(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Settings by which the checkpoint's author would decide how it is asked: not followed, and said."""
    path = checkpoint.path / "generation_config.json"
    if not path.is_file():
        return () if checkpoint.base is None else _notes(checkpoint.base)
    try:
        settings = read_json(path)
    except AuditError:
        settings = {"nothing that can be read": None}
    stood = sorted(settings.keys() - _HARMLESS) if isinstance(settings, dict) else ["something else than settings"]
    if not stood:
        return ()
    return (f"generation_config.json sets {', '.join(stood)}: not followed, every model is asked alike",)


def _load_tokenizer(checkpoint: Checkpoint, options: ModelOptions) -> PreTrainedTokenizerBase:
    source, extra = _source(checkpoint)
    if checkpoint.base is not None and not (checkpoint.path / "tokenizer_config.json").is_file():
        return _load_tokenizer(checkpoint.base, options)
    return AutoTokenizer.from_pretrained(
        source, trust_remote_code=options.trust_remote_code, local_files_only=True, **extra
    )


def _load_module(checkpoint: Checkpoint, options: ModelOptions, device: torch.device) -> torch.nn.Module:
    if checkpoint.storage is Storage.ADAPTER:
        return _load_adapter(checkpoint, options, device)
    source, extra = _source(checkpoint)
    placed: dict[str, Any] = {"device_map": options.device_map} if options.device_map else {}
    module, report = AutoModelForCausalLM.from_pretrained(
        source,
        dtype=_dtype(options.dtype, device),
        trust_remote_code=options.trust_remote_code,
        use_safetensors=None if options.allow_pickle or checkpoint.storage is Storage.GGUF else True,
        local_files_only=True,
        output_loading_info=True,
        generation_config=GenerationConfig(),  # the checkpoint's own has no say in how it is asked
        **extra,
        **placed,
    )
    _refuse_half(checkpoint, report)
    _refuse_doubles(checkpoint, getattr(module, "base_model_prefix", ""))
    if hasattr(module, "generation_config"):
        module.generation_config = GenerationConfig()
    plain: torch.nn.Module = module
    if checkpoint.storage is not Storage.GGUF:  # transformers reads those as weights itself
        plain = as_weights(module, checkpoint.reference, _dtype(options.dtype, device))
    _refuse_absent(checkpoint, plain)
    plain = plain if placed else plain.to(device)
    for parameter in plain.parameters():
        parameter.requires_grad_(False)
    keep_head_inputs_whole(plain)
    return plain


def _refuse_half(checkpoint: Checkpoint, report: Mapping[str, Any]) -> None:
    """Every tensor is used, and every weight is there: transformers fills gaps with noise, and only warns."""
    for kind, what, remedy in (
        ("missing_keys", "weights are absent from the checkpoint", "save it again with all weights"),
        (
            "mismatched_keys",
            "weights have another shape than config.json says",
            "save weights and config.json together",
        ),
        (
            "unexpected_keys",
            "weights of the checkpoint are not used by the model that config.json describes",
            "give the config.json that belongs to them, or remove them",
        ),
    ):
        names = sorted(str(name[0] if isinstance(name, tuple) else name) for name in report.get(kind) or ())
        if names:
            raise AuditError(f"{checkpoint.reference}: {len(names)} {what}, e.g. {', '.join(names[:3])}; {remedy}")


def _refuse_absent(checkpoint: Checkpoint, module: torch.nn.Module) -> None:
    """Every weight is on a device: accelerate leaves what does not fit on disk or beside the GPUs, out of reach."""
    absent = [name for name, weight in module.named_parameters() if weight.device.type == "meta"]
    if absent:
        raise AuditError(
            f"{checkpoint.reference}: {len(absent)} weights are on no device, {absent[0]} for one: the devices are too "
            "small for the model; give more of them, or a smaller --dtype"
        )


def _refuse_doubles(checkpoint: Checkpoint, prefix: str) -> None:
    """One tensor a weight: transformers takes names with and without the bare model's prefix, and one of two wins."""
    if checkpoint.storage is not Storage.DIRECTORY or not prefix:
        return
    files = model_files(checkpoint.path, allow_pickle=True).tensors
    found: dict[str, str] = {}
    for name in (name for table in tensor_tables(files).values() for name in table):
        bare = name
        while bare.startswith(f"{prefix}."):
            bare = bare.removeprefix(f"{prefix}.")
        if (other := found.setdefault(bare, name)) != name:
            raise AuditError(
                f"{checkpoint.reference}: holds {other} and {name}, which are one weight for the loader; keep one"
            )


def _load_adapter(checkpoint: Checkpoint, options: ModelOptions, device: torch.device) -> torch.nn.Module:
    if checkpoint.base is None:
        raise AuditError(f"{checkpoint.reference}: is an adapter without its base; give --base")
    return with_adapter(_load_module(checkpoint.base, options, device), checkpoint.path, reference=checkpoint.reference)


def _source(checkpoint: Checkpoint) -> tuple[str, dict[str, str]]:
    if checkpoint.storage is Storage.GGUF:
        return str(checkpoint.path.parent), {"gguf_file": checkpoint.path.name}
    return str(checkpoint.path), {}


def _dtype(name: str, device: torch.device) -> torch.dtype | str:
    """Half precision on the CPU is slow and rounds: there `auto` means float32, which holds every half exactly."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]


def _hint(error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return "; it comes with its own code, which runs only with --trust-remote-code"
    return ""
