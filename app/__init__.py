"""SCIM Bridge: SCIM 2.0 in front of a platform that only has its own Users API."""

__version__ = "0.1.0"
"""Also where only the code is, and no package that was installed; the same as in pyproject.toml."""
