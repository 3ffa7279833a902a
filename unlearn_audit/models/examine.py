"""Looks at a checkpoint before anything relies on it: how it is asked, and whether it is a model that can be audited.

`form_of` needs the tokenizer alone, so a plan can compare all roles; `check_model` needs the weights, once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unlearn_audit.api import Prompt
from unlearn_audit.errors import AuditError, cause_of
from unlearn_audit.evidence.digests import sha256_json, sha256_text
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.loading import load_tokenizer, renderer_of
from unlearn_audit.models.references import Checkpoint, Storage
from unlearn_audit.models.short_cuts import HALF_TOLERANCE
from unlearn_audit.spec.spec import ModelOptions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_TEMPLATE = "none"
AHEAD = 1e-5
"""Largest change of a logit, as a share of the largest, by a word that comes after it. Rows of equal length are
computed alike, so that in single precision next to nothing may change."""

_LENGTHS = ("truncation", "padding", "version")
_ASKED = Prompt(text="Who wrote this?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How a model is asked, as far as its tokenizer and template decide it.

    Attributes:
        template: digest of the chat template in force, or `NO_TEMPLATE`.
        prompt: the text that a question becomes.
        opening: tokens that the tokenizer puts before a text.
        ending: tokens that it puts behind one.
        stops: tokens that end an answer.
        vocabulary: digest of token -> id.
        pieces: digest of all else by which a text becomes tokens and tokens a text (merges, normalizer, decoder).
        dated: whether the template asks for today's date.
        read: digest of the tokens of each text of the audit and of what they are turned back into; none of a GGUF file.
    """

    template: str
    prompt: str
    opening: tuple[str, ...]
    ending: tuple[str, ...]
    stops: tuple[str, ...]
    vocabulary: str
    pieces: str
    dated: bool
    read: tuple[str, ...] = ()


_SAID = {
    "template": "the chat template",
    "prompt": "the prompt that a question becomes",
    "opening": "the tokens before a text",
    "ending": "the tokens behind a text",
    "stops": "the tokens that end an answer",
    "vocabulary": "the vocabulary",
    "pieces": "how texts become tokens",
}


def form_of(checkpoint: Checkpoint, options: ModelOptions, texts: Sequence[str] = ()) -> Form:
    """How a checkpoint is asked, and how it reads the texts of an audit.

    Raises:
        AuditError: its tokenizer or template cannot be used.
    """
    renderer = renderer_of(load_tokenizer(checkpoint, options), options)
    tokenizer = renderer.tokenizer
    try:
        ids = renderer.prompt_ids(_ASKED)
        before, after = _around(tokenizer.encode("x"), tokenizer.encode("x", add_special_tokens=False))
        stops = sorted(renderer.stop_ids) if renderer.chat_template is not None else [tokenizer.eos_token_id]
        return Form(
            template=NO_TEMPLATE if renderer.chat_template is None else sha256_text(renderer.chat_template)[:16],
            prompt=str(tokenizer.decode(ids)),
            opening=tuple(map(str, tokenizer.convert_ids_to_tokens(before))),
            ending=tuple(map(str, tokenizer.convert_ids_to_tokens(after))),
            stops=tuple(str(tokenizer.convert_ids_to_tokens(one)) for one in stops if one is not None),
            vocabulary=sha256_json(tokenizer.get_vocab())[:16],
            pieces=_pieces(tokenizer),
            dated=renderer.asks_for_the_date,
            read=() if checkpoint.storage is Storage.GGUF else _read(tokenizer, texts),
        )
    except AuditError as error:
        raise AuditError(f"{checkpoint.reference}: {error}") from error
    except Exception as error:  # a tokenizer of unknown origin
        raise AuditError(f"{checkpoint.reference}: its tokenizer cannot be used: {cause_of(error)}") from error


def tells_apart(checkpoint: Checkpoint, options: ModelOptions, texts: Sequence[str]) -> bool:
    """Whether there is a text that the chat template does not write as it writes others.

    Raises:
        AuditError: the tokenizer or template cannot be used at all.
    """
    renderer = renderer_of(load_tokenizer(checkpoint, options), options)
    for text in texts if renderer.chat_template is not None else ():
        try:
            renderer.prompt_ids(Prompt(text=text))
        except AuditError:
            return True
    return False


def _read(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> tuple[str, ...]:
    rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    said = ("".join(text.split()) for text in tokenizer.batch_decode(rows))  # blanks are a matter of its settings
    return tuple(sha256_json(pair)[:16] for pair in zip(rows, said, strict=True))


def read_otherwise(form: Form, other: Form) -> int:
    """How many texts two models with one vocabulary read as other tokens, or turn back into other texts.

    Of models with different vocabularies nothing is said: their tokens cannot be compared. Nor of a GGUF file's
    tokenizer, whose rules are rebuilt from less than was saved.
    """
    if form.vocabulary != other.vocabulary or not (form.read and other.read):
        return 0
    return sum(one != another for one, another in zip(form.read, other.read, strict=True))


def _pieces(tokenizer: PreTrainedTokenizerBase) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return ""
    # A checkpoint is saved with the lengths that it was trained with; here none is cut or padded by its tokenizer.
    settings = {name: part for name, part in json.loads(backend.to_str()).items() if name not in _LENGTHS}
    return sha256_json(settings)[:16]


def _around(whole: list[int], bare: list[int]) -> tuple[list[int], list[int]]:
    """What stands before and behind the bare tokens."""
    for place in range(len(whole) - len(bare) + 1):
        if whole[place : place + len(bare)] == bare:
            return whole[:place], whole[place + len(bare) :]
    return whole, []


def differences(form: Form, other: Form) -> list[str]:
    """What differs, for a reader; a difference that another explains is not said again."""
    found = [name for name in _SAID if getattr(form, name) != getattr(other, name)]
    if "template" in found:
        found = [name for name in found if name not in ("prompt", "stops")]
    if "vocabulary" in found:
        found = [name for name in found if name != "pieces"]
    return [_SAID[name] for name in found]


@torch.inference_mode()
def check_model(reference: str, engine: Engine) -> None:
    """Refuses weights that are not numbers, and a model whose words depend on what comes after them.

    Raises:
        AuditError: saying which.
    """
    bad = [name for name, value in engine.module.named_parameters() if not bool(torch.isfinite(value.float()).all())]
    if bad:
        raise AuditError(
            f"{reference}: {len(bad)} weights hold values that are not finite, e.g. {bad[0]}; it cannot be audited"
        )
    row = engine.renderer.prompt_ids(_ASKED)
    changed = [*row[:-1], row[0] if row[0] != row[-1] else row[-1] + 1 if row[-1] == 0 else row[-1] - 1]
    logits = [engine.logits_of(one) for one in (row, changed)]
    if not all(bool(torch.isfinite(one).all()) for one in logits):
        raise AuditError(f"{reference}: answers with logits that are not finite numbers; it cannot be audited")
    gap = (logits[0][:-1] - logits[1][:-1]).abs().max()
    allowed = AHEAD if engine.module_dtype is torch.float32 else HALF_TOLERANCE
    if bool(gap > allowed * logits[0].abs().max()):
        raise AuditError(
            f"{reference}: is not a causal language model: its prediction for a word depends on the words after it"
        )
