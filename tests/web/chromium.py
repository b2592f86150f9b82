"""What do the browser tests need, and is it here?"""

from __future__ import annotations

import shutil
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"


def lacking() -> str | None:
    """In a sentence, or None."""
    if CHROMIUM is None:
        return "no Chromium is installed (Debian: apt install chromium)"
    return None if AXE.is_file() else "axe-core is not there (make assets)"
