"""Runs commands in this process, and sets a place up for those that need a platform."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Place, Run

from app.cli.main import main
from app.cli.quickstart import DATABASE, prepare_platform, prepare_quickstart
from app.config import Settings
from app.embedded import Directory
from app.embedded.seeding import SeedPlan

USERS = 3


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A command in this process, which spares the start of an interpreter."""

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            for name in (n for n in os.environ if n.startswith("SCIM_BRIDGE_")):
                patch.delenv(name)
            for name, value in {
                "COLUMNS": "200",
                "SCIM_BRIDGE_DATA_DIR": str(tmp_path / "data"),
                **more,
            }.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["scim-bridge", *arguments])
            capfd.readouterr()
            code: object = 0
            try:
                main()
            except SystemExit as exc:
                code = exc.code or 0
            out, err = capfd.readouterr()
        return subprocess.CompletedProcess(list(arguments), int(str(code)), out, err)

    return call


@pytest.fixture
def place(tmp_path: Path) -> Place:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    settings = Settings(data_dir=str(data_dir))

    async def prepare() -> Place:
        credentials = await prepare_platform(data_dir, None)
        quickstart = await prepare_quickstart(settings, credentials, "http://bridge.test/scim/v2")
        async with Directory(data_dir / DATABASE) as directory:
            await directory.seed_users(credentials.tenant_id, USERS, SeedPlan())
        kept = (quickstart.token, quickstart.platform_token, credentials.client_secret)
        return Place(settings, credentials.tenant_id, (*kept, credentials.webhook_secret))

    return asyncio.run(prepare())
