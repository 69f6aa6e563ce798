"""Runs commands in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Run

from app.cli.main import main


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
