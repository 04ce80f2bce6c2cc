"""One cold start, measured from its first import to its first answer: what `benchmarks.cold` runs many times over."""

import time

begun = time.perf_counter(), time.process_time()

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from types import SimpleNamespace  # noqa: E402


def main() -> None:
    given = json.loads(os.environ["GIVEN"])
    if given["case"].startswith("floor"):
        from benchmarks.floor import app, three_calls

        if given["case"] != "floor":
            three_calls()
    else:
        from app import app
    answer = app(given["event"], SimpleNamespace(function_name="daypass", aws_request_id="1"))
    taken = time.perf_counter() - begun[0], time.process_time() - begun[1]

    import resource
    from pathlib import Path

    assert answer["statusCode"] == 200, answer
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path(sys.argv[1]).write_text(json.dumps([1e3 * taken[0], 1e3 * taken[1], memory]))


if __name__ == "__main__":
    main()
