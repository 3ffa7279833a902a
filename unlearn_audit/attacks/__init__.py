"""Where the attacks are in a checkout: the folder `attacks/` beside this package. Left out of the wheel."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[2] / "attacks")]
