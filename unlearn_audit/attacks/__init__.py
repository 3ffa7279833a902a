"""Where the attacks are in a checkout: the folder `attacks/` next to this package. Not in the wheel."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[2] / "attacks")]
