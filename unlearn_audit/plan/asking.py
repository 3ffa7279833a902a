"""In which form models are asked, and whether in the same: a difference of templates or tokens is not forgetting."""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.api import Role
from unlearn_audit.errors import SpecError
from unlearn_audit.models.references import Storage, check_templates
from unlearn_audit.plan.plan import PlannedModel
from unlearn_audit.spec.spec import AuditSpec


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
    notes: tuple[str, ...] = ()
    if spec.models.chat_template == "auto":
        spec, notes = _by_one_that_asks_alike(models, spec, texts)
    return spec, (*notes, *_differences(models, spec, texts))


def _by_one_that_asks_alike(
    models: Sequence[PlannedModel], spec: AuditSpec, texts: Sequence[str]
) -> tuple[AuditSpec, tuple[str, ...]]:
    from unlearn_audit.models.examine import told_apart

    odd = {model.name: told_apart(model.checkpoint, spec.models, texts) for model in models}
    if not (found := [name for name, text in odd.items() if text is not None]):
        return spec, ()
    whole = [one for one in models if odd[one.name] is None and one.checkpoint.storage is Storage.DIRECTORY]
    fault = f"{', '.join(found)}: the chat template writes other words around one question than around another"
    if not whole:
        raise SpecError(f"{fault}; give one that writes the same for all models with --chat-template FILE (or none)")
    options = spec.models.model_copy(update={"chat_template": str(whole[0].checkpoint.path)})
    note = f"{fault}, so that all models are asked by that of {whole[0].name}"
    return spec.model_copy(update={"models": options}), (note,)


def _differences(models: Sequence[PlannedModel], spec: AuditSpec, texts: Sequence[str]) -> tuple[str, ...]:
    from unlearn_audit.models.examine import NO_TEMPLATE, differences, form_of, read_otherwise

    forms = {model.name: form_of(model.checkpoint, spec.models, texts) for model in models}
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
