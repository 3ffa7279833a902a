"""Other libraries, silent while ours speak."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from unlearn_audit.errors import Notice

_TOKENIZERS = "TOKENIZERS_PARALLELISM"


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No progress bars, warnings or advice from libraries while it lasts; what we tell ourselves (`Notice`) stays."""
    own, parallel = logging.getLogger("bitsandbytes"), os.environ.get(_TOKENIZERS)
    level_of_own = own.level
    os.environ.setdefault(_TOKENIZERS, "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=Notice)
        from transformers.utils import logging as transformers_logging

        level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
        own.setLevel(logging.ERROR)
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        try:
            yield
        finally:
            own.setLevel(level_of_own)
            transformers_logging.set_verbosity(level)
            if bars:
                transformers_logging.enable_progress_bar()
            if parallel is None:
                os.environ.pop(_TOKENIZERS, None)
