"""Two replicas at one PostgreSQL: one is killed within a write, and the client's retry goes to the other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from fault_known_open import OPEN_WITH_REPLICAS
from fault_matrix import all_cases, run_cases, undisturbed
from fault_proxy import FAULTS
from fault_report import disagreements, table

if TYPE_CHECKING:
    from fault_lanes import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")

TAKEOVER_S = 120.0
"""For how long a client that is answered 503 asks again: twice what a bridge may take for one answer."""
SOME_KINDS = ("create-whole", "patch-whole", "delete", "delete-disable", "revive", "platform-group-create")
KILLS = tuple(name for name, fault in FAULTS.items() if fault.kills)


async def test_the_other_replica_takes_over(replicas: Rig) -> None:
    dry = await undisturbed(replicas, SOME_KINDS)
    found = await run_cases(replicas, dry, all_cases(dry, KILLS), retry_at=1, patience_s=TAKEOVER_S)
    wrong = disagreements(found, OPEN_WITH_REPLICAS, whole=False)
    assert not wrong, "\n".join([table(found), *wrong])


@pytest.mark.long
async def test_the_other_replica_takes_over_at_every_call(
    replicas: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    dry = await undisturbed(replicas)
    found = await run_cases(replicas, dry, all_cases(dry, KILLS), retry_at=1, patience_s=TAKEOVER_S)
    wrong = disagreements(found, OPEN_WITH_REPLICAS, whole=True)
    with capsys.disabled():
        sys.stdout.write(f"\n{table(found)}\n")
    assert not wrong, "\n".join(wrong)
