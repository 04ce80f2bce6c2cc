"""What the broker adds to its three AWS calls: CPU of ask-and-issue through the Lambda handler, minus the bare calls.

The bare calls are the handler's own, parameters and clients included, made one after another in the same process and in
turns with it. The stub answers from another process, so its CPU is not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.stage import ROOT, Context, ask_and_issue, running
from benchmarks.tables import Row

WARM = 30
TIMES = 300


def rows() -> list[Row]:
    with running() as stage, tempfile.NamedTemporaryFile() as told:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.overhead", told.name],
            cwd=ROOT,
            env={**stage.environment, "TOKEN": stage.token},
            stdout=subprocess.DEVNULL,  # the log goes there, and costs what it costs
            check=True,
        )
        handler, bare, added, added_wall = json.loads(Path(told.name).read_text())
    return [
        Row("ask and issue through the handler: CPU", handler, "ms"),
        Row("its three AWS calls, bare: CPU", bare, "ms"),
        Row("what the broker adds: CPU", added, "ms", 3),
        Row("what the broker adds: wall", added_wall, "ms"),
    ]


def main() -> None:
    import os

    from app import app
    from chalicelib import wiring

    asked = ask_and_issue(os.environ["TOKEN"])

    def handler() -> None:
        answer = app(asked, Context())
        assert answer["statusCode"] == 200, answer

    world: Any = wiring.world()
    clients = [world.requests.client, world.lender._client]
    calls = _calls_of(handler, clients)
    assert [name for name, _ in calls] == ["transact_write_items", "assume_role", "transact_write_items"], calls

    def bare() -> None:
        for _, call in calls:
            call()

    for _ in range(WARM):
        handler()
        bare()
    seen = [(*_measured(handler), *_measured(bare)) for _ in range(TIMES)]
    figures = (
        median(cpu for _, cpu, _, _ in seen),
        median(cpu for _, _, _, cpu in seen),
        median(cpu - bare_cpu for _, cpu, _, bare_cpu in seen),
        median(wall - bare_wall for wall, _, bare_wall, _ in seen),
    )
    Path(sys.argv[1]).write_text(json.dumps(figures))


def _calls_of(once: Callable[[], None], clients: list[Any]) -> list[tuple[str, Callable[[], object]]]:
    """The AWS calls that `once` makes, to be made again."""
    calls: list[tuple[str, Callable[[], object]]] = []

    def listening_to(client: Any) -> Callable[..., None]:
        methods = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}

        def heard(params: dict[str, Any], model: Any, **_: Any) -> None:
            name = methods[model.name]
            calls.append((name, lambda given=dict(params): getattr(client, name)(**given)))  # type: ignore[misc]

        return heard

    listeners = [(client, listening_to(client)) for client in clients]
    for client, heard in listeners:
        client.meta.events.register("provide-client-params", heard)
    once()
    for client, heard in listeners:
        client.meta.events.unregister("provide-client-params", heard)
    return calls


def _measured(call: Callable[[], None]) -> tuple[float, float]:
    """Milliseconds on the wall and of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


if __name__ == "__main__":
    main()
