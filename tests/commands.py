"""Commands of the product in this process, which spares the start of an interpreter."""

from __future__ import annotations

from typer.testing import CliRunner

from app.cli.main import app


def scim_bridge(*arguments: str, **environment: str) -> str:
    """Run a command that must succeed; what it prints on standard output."""
    done = CliRunner().invoke(app, arguments, env=environment)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout
