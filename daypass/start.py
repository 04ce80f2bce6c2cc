"""Where the command begins: what is kept is handed out before anything slow is imported."""

from __future__ import annotations

import json
import os
import sys
import time

from daypass import keeping


def main() -> None:
    what = keeping.asked(sys.argv[1:])
    try:
        place = None if what is None else keeping.place(os.environ, what)
    except Exception:  # what is wrong the command itself says
        place = None
    if place and (process := keeping.kept(place, time.time())):
        sys.stdout.write(json.dumps(process, indent=2) + "\n")
        return
    from daypass import commands

    commands.main()


if __name__ == "__main__":
    main()
