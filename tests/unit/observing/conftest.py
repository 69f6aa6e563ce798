from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))

from bridge_rig import made_once, rig, shared
from log_rig import configure, lines

__all__ = ["configure", "lines", "made_once", "rig", "shared"]
