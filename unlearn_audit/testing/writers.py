"""The contract of a writer: equal material gives equal bytes, and what stands in a result does no harm there."""

from __future__ import annotations

from unlearn_audit.api import AuditError, Material, Needs, Writer
from unlearn_audit.testing.documents import sample_material
from unlearn_audit.testing.promises import check_identity, promise

_HARMFUL = "\x1b\x00\x07\u202e"
"""Characters that steer a terminal or turn the line round; the sample holds them in its texts."""


def check_writer(writer: type[Writer]) -> None:
    """Whether a writer keeps the contract of `api.writer`, on the result of a small audit with hostile texts in it.

    Args:
        writer: the class.

    Raises:
        ContractError: a promise is broken; it says which.
    """
    check_identity(writer, Writer)
    title = writer.__qualname__
    name = getattr(writer, "file_name", "")
    promise(
        isinstance(name, str) and "." in name and "/" not in name, f"{title}.file_name must be a name with a suffix"
    )
    promise(isinstance(writer.needs, Needs), f"{title}.needs must be a Needs; it is {writer.needs!r}")
    promise(isinstance(writer.binary, bool), f"{title}.binary must be true or false; it is {writer.binary!r}")
    material = sample_material()
    before = material.result.model_dump_json()
    document = _rendered(writer(), material)
    promise(document == _rendered(writer(), sample_material()), f"{title}: equal material must give equal bytes")
    promise(material.result.model_dump_json() == before, f"{title} changes the result that it writes")
    if isinstance(document, str):
        found = [f"U+{ord(one):04X}" for one in _HARMFUL if one in document]
        promise(not found, f"{title} lets {', '.join(found)} of a text through; `api.kit.printable.clean` takes it out")
    _check_observations(writer, material)


def _rendered(writer: Writer, material: Material) -> str | bytes:
    document = writer.render(material)
    wanted = bytes if writer.binary else str
    promise(
        isinstance(document, wanted),
        f"{type(writer).__qualname__}.render must give {wanted.__name__} (binary is {writer.binary}); "
        f"it gave {type(document).__name__}",
    )
    promise(bool(document), f"{type(writer).__qualname__}.render gives an empty document")
    return document


def _check_observations(writer: type[Writer], material: Material) -> None:
    """Without observations and published figures at hand, a writer that needs the result alone still writes."""
    bare = Material(result=material.result)
    title = writer.__qualname__
    try:
        writer().render(bare)
    except AuditError as error:
        promise(writer.needs is not Needs.RESULT, f"{title} asks for observations; say so in `needs` ({error})")
    else:
        promise(writer.needs is Needs.RESULT, f"{title} never asks for observations; take them out of `needs`")
