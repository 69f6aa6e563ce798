"""The cases that are known to break the promise today, and why; the tests hold this table from both sides.

A case that fails and is not here fails the test, and so does one that is here and passes.
"""

from __future__ import annotations

from fault_report import Open

OPEN: dict[Open, str] = {}

OPEN_WITH_REPLICAS: dict[Open, str] = {}
