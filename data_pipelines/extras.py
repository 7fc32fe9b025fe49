"""How an extra is installed, packages that few need."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Of the checkout, or where packages are installed."""


def install(extra: str) -> str:
    """The command that brings an extra of setup.py: into this checkout, or to the package that is installed."""
    if not (ROOT / "setup.py").is_file():
        return f"pip install 'did_tf[{extra}]'"
    return f"pip install -e '{'.' if Path.cwd() == ROOT else ROOT}[{extra}]'"
