"""The folder of TemplateFlow's files on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Names a folder of TemplateFlow's files; without it, they are in the user's cache.
HOME_VARIABLE = "TEMPLATEFLOW_HOME"


def archive_folder() -> Path:
    """Return the folder where TemplateFlow keeps its files, which need not be there."""
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return Path(named)
    # Without a home there is no folder, and none can be made below this.
    home = Path(os.environ.get("HOME") or os.devnull)
    cache = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or cache) / "templateflow"
