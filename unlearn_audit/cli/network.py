"""Whether libraries may use the network: never, unless `--download` was given.

The libraries read these variables when they are imported, so they are set before any command begins.
"""

from __future__ import annotations

import os

_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_EVALUATE_OFFLINE")
_SILENT = ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK")
"""No library reports that it is used, with `--download` either."""


class Network:
    """The network of this process, closed from the start: no look-up, no HEAD request, no retry."""

    def __init__(self) -> None:
        self._before = {name: os.environ.get(name) for name in _OFFLINE}
        os.environ.update(dict.fromkeys((*_OFFLINE, *_SILENT), "1"))

    def open(self) -> None:
        """Leaves it to the user's own variables."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
