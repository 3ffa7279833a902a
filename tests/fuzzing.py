"""Files that are almost right, for parsers that must refuse them in words: no exception but ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from unlearn_audit.errors import AuditError

FEW = settings(max_examples=50, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
"""In the normal suite: the same files each time."""
MANY = settings(FEW, max_examples=2_000, derandomize=False)
"""In tests that are marked `slow`."""

AMOUNTS = pytest.mark.parametrize("amount", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"])

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "\ud800", "a\0b", "2020-99-99", "n" * 5000, "~x", "../x", "1e999", ":", "@", "a:b"])
)


def values(keys: Sequence[str]) -> st.SearchStrategy[object]:
    """JSON-like values whose mappings have mostly these keys."""
    names = st.sampled_from(list(keys)) | st.text(max_size=8)
    return st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
        max_leaves=12,
    )


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """A sound file with a few places cut out, doubled or replaced."""
    content = sound
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        kept = content[start:end]
        other = draw(
            st.sampled_from([b"", kept * 2, b"\0", b"\xff\xfe", b"[" * 200, b"{", b'"', b"\n"]) | st.binary(max_size=9)
        )
        content = content[:start] + other + content[end:]
    return content


def refused_or_read(read: Callable[[Path], object], path: Path, content: bytes) -> None:
    """Reads the file: what is wrong with it is one of our errors."""
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read(path)
        except AuditError as error:
            assert str(error)
