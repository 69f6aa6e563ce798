"""Every kind of write, broken at every platform call in every way: as wanted afterwards, or as before."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from fault_known_open import OPEN
from fault_matrix import all_cases, run_cases, some_cases, undisturbed
from fault_report import disagreements, table

if TYPE_CHECKING:
    from fault_lanes import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_some_faults_of_every_kind_of_write(alone: Rig) -> None:
    dry = await undisturbed(alone)
    found = await run_cases(alone, dry, some_cases(dry))
    wrong = disagreements(found, OPEN, whole=False)
    assert not wrong, "\n".join([table(found), *wrong])


@pytest.mark.long
async def test_every_fault_at_every_call_of_every_kind_of_write(
    alone: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    dry = await undisturbed(alone)
    found = await run_cases(alone, dry, all_cases(dry))
    wrong = disagreements(found, OPEN, whole=True)
    with capsys.disabled():
        sys.stdout.write(f"\n{table(found)}\n")
    assert not wrong, "\n".join(wrong)
