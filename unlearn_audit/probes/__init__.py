"""Where the probes are in a checkout: the folder `probes/` beside this package. Left out of the wheel."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[2] / "probes")]
