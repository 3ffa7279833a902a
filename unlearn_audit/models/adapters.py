"""PEFT adapters on their base: each kind loads so that every attack can work on it, or is refused in one sentence.

What must hold after loading: every tensor of the adapter's file has a place in the model, every part of the adapter
came from the file, and the adapter can be merged into its base. PEFT only warns of the first two, and an adapter of
which nothing is found is the base model.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from unlearn_audit.errors import AuditError, cause_of

if TYPE_CHECKING:
    import torch

ADAPTER, PREFIX = "default", "base_model.model."
_NAMED = 3
"""So many tensors are named in a refusal; of more, only their number."""


def refused(settings: Mapping[str, Any]) -> str | None:
    """Why an adapter of this kind cannot be audited, by its `adapter_config.json` alone; None if it may be.

    Trained prompts are known by the virtual tokens that all of them have (prompt tuning, p-tuning, prefix tuning).
    """
    if settings.get("num_virtual_tokens") is not None:
        return (
            f"is a trained prompt ({settings.get('peft_type')}), not a change of weights, so that attacks on weights "
            "cannot be run on it; audit its base, or an adapter that can be merged"
        )
    task = settings.get("task_type")
    if task not in (None, "CAUSAL_LM"):
        return f"is an adapter for the task {task}; expected one for CAUSAL_LM"
    return None


def with_adapter(base: torch.nn.Module, path: Path, *, reference: str) -> torch.nn.Module:
    """The base with the adapter on it.

    Args:
        base: the loaded base; an adapter itself is merged into its own base first. Its modules are replaced.
        path: the adapter's directory.
        reference: what the user calls it.

    Raises:
        AuditError: the adapter does not fit the base, matches it only in part, or cannot be merged.
    """
    import torch
    from peft import PeftConfig, PeftModel
    from peft.utils.save_and_load import load_peft_weights

    with _quiet(), torch.random.fork_rng():
        torch.manual_seed(0)  # what PEFT draws before the file's values take its place
        try:
            plain = merged(base)
            config = PeftConfig.from_pretrained(str(path))
            why = refused(config.to_dict())
            if why is not None:
                raise AuditError(why)
            tensors = load_peft_weights(str(path), device="cpu")
            grown = _resized(plain, config, tensors)
            known = {id(parameter) for parameter in plain.parameters()}
            model = PeftModel.from_pretrained(plain, str(path), config=config, is_trainable=False)
            _check_complete(model, tensors, known, grown)
            _untie(model)
            _check_merges(model)
        except AuditError as error:
            raise AuditError(f"{reference}: {error}") from error
        except Exception as error:  # whatever an adapter of unknown origin makes PEFT raise
            raise AuditError(
                f"{reference}: the adapter cannot be put on its base ({type(base).__name__}): {cause_of(error)}; give "
                "the base that it was trained on with --base"
            ) from error
    return cast("torch.nn.Module", model)


def merged(module: torch.nn.Module) -> torch.nn.Module:
    """The plain model: an adapter's merged into it, in place, whether or not PEFT's own model is around it."""
    merge = getattr(module, "merge_and_unload", None)
    if merge is None and not adapted_layers(module):
        return module
    with _quiet():
        plain: torch.nn.Module = _folded(module) if merge is None else merge()
    if hasattr(plain, "peft_config"):
        del plain.peft_config  # PEFT leaves it behind, and would take it for a second adapter
    return plain


def adapted_layers(module: torch.nn.Module) -> list[str]:
    """Paths of the layers that PEFT changed, the inner ones first; none where PEFT was not even imported."""
    if "peft" not in sys.modules:
        return []
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [name for name, part in reversed(list(module.named_modules())) if isinstance(part, BaseTunerLayer)]


def _folded(module: torch.nn.Module) -> torch.nn.Module:
    """A module into whose own layers an adapter was put (a training's), with each change written into its layer."""
    for name in adapted_layers(module):
        layer: Any = module.get_submodule(name)
        layer.merge()
        module.set_submodule(name, layer.base_layer)
    return module


def _check_complete(model: Any, tensors: Mapping[str, torch.Tensor], known: set[int], grown: Mapping[str, int]) -> None:
    """Compares the adapter's file with the model: nothing left over, nothing left at its initial value."""
    from peft.utils.save_and_load import set_peft_model_state_dict

    result = set_peft_model_state_dict(model, dict(tensors), adapter_name=ADAPTER)
    strangers = [name for name in result.unexpected_keys if not _is_second_copy(name, tensors, result.unexpected_keys)]
    if strangers:
        raise AuditError(
            f"{_listed(strangers)} of the adapter's file match nothing in its base"
            f"{_compiled(strangers)}; save the adapter again from the bare model, or give its base with --base"
        )
    absent = set(result.missing_keys)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    loaded = {id(parameter) for name, parameter in parameters.items() if name not in absent}
    initial = [name for name, one in parameters.items() if id(one) not in known and id(one) not in loaded]
    if initial:
        raise AuditError(
            f"{_listed(initial)} of the adapter are not in its file and would keep their "
            "initial values; save the adapter again with all its parts"
        )
    own = {id(parameter) for parameter in parameters.values() if id(parameter) not in known}
    for name, rows in grown.items():
        table = model.base_model.model.get_submodule(name)
        held = {id(parameter) for parameter in table.parameters()}
        if not held & (loaded | own):
            raise AuditError(
                f"the base's {name} has {rows} rows, the adapter's vocabulary has {len(next(table.parameters()))}, and "
                "the adapter's file does not hold the rows between; save the adapter with its embeddings and output "
                "layer (save_embedding_layers=True)"
            )


def _is_second_copy(name: str, tensors: Mapping[str, torch.Tensor], strangers: Sequence[str]) -> bool:
    """Whether a tensor without a place repeats one that has a place: PEFT saves embeddings under two names."""
    import torch

    own, ending = tensors.get(name), name.rpartition(".")[2]
    return own is not None and any(
        other not in strangers and other.rpartition(".")[2] == ending and torch.equal(own, tensor)
        for other, tensor in tensors.items()
    )


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(names[:_NAMED])
    return f"{len(names)} tensors ({first}{', ...' if len(names) > _NAMED else ''})"


def _compiled(names: Sequence[str]) -> str:
    return " (it was saved from a compiled model)" if any("_orig_mod." in name for name in names) else ""


def _resized(plain: Any, config: Any, tensors: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """Gives the base as many embedding rows as the adapter has; the tables that grew, with their rows before.

    Raises:
        AuditError: the adapter's tables differ in their sizes.
    """
    rows = plain.get_input_embeddings().weight.shape[0]
    found = set(_rows_in(plain, tensors))
    tables = {name: part for name, part in _embeddings(plain).items() if part.weight.shape[0] == rows}
    if len(found) > 1:
        raise AuditError(
            f"the adapter's embeddings and output layer have {sorted(found)} rows where its "
            f"base has {rows}; expected one size"
        )
    wanted = max(*(found or {rows}), 1 + max(_trained_tokens(config), default=-1))
    if wanted == rows:
        return {}
    plain.resize_token_embeddings(wanted, mean_resizing=False)
    return dict.fromkeys(tables, rows) if wanted > rows else {}


def _embeddings(plain: Any) -> dict[str, Any]:
    """The input embedding and the output layer by name."""
    parts = [part for part in (plain.get_input_embeddings(), plain.get_output_embeddings()) if part is not None]
    return {name: part for name, part in plain.named_modules() if any(part is one for one in parts)}


def _rows_in(plain: Any, tensors: Mapping[str, torch.Tensor]) -> Iterator[int]:
    """The vocabulary sizes that tensors of the adapter's file have."""
    tables = _embeddings(plain)
    for key, tensor in tensors.items():
        name = key.removeprefix(PREFIX)
        table = next((one for one in tables if name.startswith(f"{one}.")), None)
        if table is None or "trainable_tokens" in name:
            continue
        part = name.removeprefix(f"{table}.")
        if "lora_embedding_A" in part:
            yield tensor.shape[1]
        elif part.endswith("weight") and "lora_A" not in part and "lora_embedding" not in part and tensor.ndim > 1:
            yield tensor.shape[0]


def _trained_tokens(config: Any) -> list[int]:
    given = getattr(config, "trainable_token_indices", None) or getattr(config, "token_indices", None) or []
    lists = given.values() if isinstance(given, dict) else [given]
    return [int(token) for one in lists for token in one]


def _untie(model: Any) -> None:
    """Gives a layer that the adapter changes a weight of its own where it shares it with one that stays as it is.

    Merging would else write the change of the embeddings into the output layer too.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    owners: dict[int, int] = {}
    for part in model.modules():
        for parameter in part._parameters.values():
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    for part in model.modules():
        if not isinstance(part, BaseTunerLayer):
            continue
        layer = part.get_base_layer()
        weight = getattr(layer, "weight", None)
        if isinstance(weight, torch.nn.Parameter) and owners.get(id(weight), 0) > 1:
            layer.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
            model.config.tie_word_embeddings = False


def _check_merges(model: Any) -> None:
    """Merges a copy of each changed layer: attacks on weights merge, and must not be the first to find out."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    merge = getattr(model, "merge_and_unload", None)
    if merge is None:
        raise AuditError(f"adapters of the kind {model.peft_config[ADAPTER].peft_type} cannot be merged into a base")
    check = getattr(model.base_model, "_check_merge_allowed", None)
    if check is not None:
        check()
    for part in model.modules():
        if isinstance(part, BaseTunerLayer):
            copy.deepcopy(part).merge(safe_merge=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """PEFT warns of what is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
