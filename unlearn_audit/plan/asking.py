"""In which form models are asked, and whether in the same: a difference of templates or tokens is not forgetting."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

from unlearn_audit.api import Role
from unlearn_audit.errors import SpecError
from unlearn_audit.models.references import Storage, check_templates
from unlearn_audit.plan.plan import PlannedModel
from unlearn_audit.spec.spec import AuditSpec

if TYPE_CHECKING:
    from unlearn_audit.models.examine import Form


def asked_alike(
    models: Sequence[PlannedModel], spec: AuditSpec, texts: Sequence[str]
) -> tuple[AuditSpec, tuple[str, ...]]:
    """The request with the template by which all are asked, and in what the models' prompts still differ.

    A template that writes other words around one question than around another hides what a model knows: all models are
    then asked by that of the first which does not.

    Raises:
        SpecError: no template asks all questions alike; one model has a chat template and the checkpoint has none, or
            the reverse; or one reads the audit's texts as other tokens of the same vocabulary: what it does not read it
            cannot show.
        AuditError: a tokenizer or template cannot be used.
    """
    for model in models:
        check_templates(model.checkpoint, spec.models.chat_template)
    forms = _forms(models, spec, texts)
    if spec.models.chat_template != "auto" or not (odd := _that_tell_apart(models, forms, spec, texts)):
        return spec, _differences(models, forms, spec, texts)
    spec, note = _by_one_that_asks_alike(models, forms, odd, spec)
    return spec, (note, *_differences(models, _forms(models, spec, texts), spec, texts))


def _forms(models: Sequence[PlannedModel], spec: AuditSpec, texts: Sequence[str]) -> dict[str, Form]:
    from unlearn_audit.models.examine import form_of

    return {model.name: form_of(model.checkpoint, spec.models, texts) for model in models}


def _that_tell_apart(
    models: Sequence[PlannedModel], forms: Mapping[str, Form], spec: AuditSpec, texts: Sequence[str]
) -> set[str]:
    """Digests of the templates that do; each is tried once, on the first model that has it."""
    from unlearn_audit.models.examine import tells_apart

    first = {forms[model.name].template: model for model in reversed(models)}
    return {template for template, model in first.items() if tells_apart(model.checkpoint, spec.models, texts)}


def _by_one_that_asks_alike(
    models: Sequence[PlannedModel], forms: Mapping[str, Form], odd: Container[str], spec: AuditSpec
) -> tuple[AuditSpec, str]:
    from unlearn_audit.models.examine import NO_TEMPLATE

    found = [model.name for model in models if forms[model.name].template in odd]
    fault = f"{', '.join(found)}: the chat template writes other words around one question than around another"
    for model in models:
        template = forms[model.name].template
        if template not in odd and template != NO_TEMPLATE and model.checkpoint.storage is Storage.DIRECTORY:
            options = spec.models.model_copy(update={"chat_template": str(model.checkpoint.path)})
            note = f"{fault}, so that all models are asked by that of {model.name}"
            return spec.model_copy(update={"models": options}), note
    raise SpecError(f"{fault}; give one that writes the same for all models with --chat-template FILE (or none)")


def _differences(
    models: Sequence[PlannedModel], forms: Mapping[str, Form], spec: AuditSpec, texts: Sequence[str]
) -> tuple[str, ...]:
    from unlearn_audit.models.examine import NO_TEMPLATE, differences, read_otherwise

    own = next(model.name for model in models if model.role is Role.UNLEARNED)
    notes = []
    for name, form in forms.items():
        if (form.template == NO_TEMPLATE) != (forms[own].template == NO_TEMPLATE):
            without, beside = (name, own) if form.template == NO_TEMPLATE else (own, name)
            raise SpecError(
                f"{without}: has no chat template, and {beside} has one: they would be asked in different forms. Save "
                "it with its template, or give one for all with --chat-template FILE (or none)"
            )
        if other := read_otherwise(form, forms[own]):
            raise SpecError(
                f"{own}: its tokenizer reads {other} of {len(texts)} texts otherwise than {name}'s, though they have "
                "one vocabulary: it would be asked something else. Save all models with the same tokenizer files"
            )
        if found := differences(form, forms[own]):
            notes.append(f"{name} is not asked like {own}: {', '.join(found)} differ")
    dated = [name for name, form in forms.items() if form.dated]
    if dated:
        notes.append(f"{', '.join(dated)}: the template writes {spec.models.date} for today's date (--date)")
    return tuple(notes)
