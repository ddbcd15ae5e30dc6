"""``python -m slideseg``."""

from __future__ import annotations

from slideseg.cli import main

main()
