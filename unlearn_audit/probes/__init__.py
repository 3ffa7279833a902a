"""Where the probes are in a checkout: the folder `probes/` next to this package. Not in the wheel."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[2] / "probes")]
