"""The browser of whoever sits at this machine."""

from __future__ import annotations

import os
import sys


def show(url: str) -> bool:
    """Open a page; False where there is no browser to open it in, or it does not start.

    The address is on the browser's command line while it starts, where other users of this machine can read it.
    """
    import webbrowser

    # Without a display only browsers for terminals are found, and no console runs in those.
    seen = sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")))
    return bool(seen) and webbrowser.open(url)
