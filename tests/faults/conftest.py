from __future__ import annotations

from bridge_rig import made_once, rig, shared

__all__ = ["made_once", "rig", "shared"]
