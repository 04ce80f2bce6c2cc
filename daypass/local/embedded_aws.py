"""The embedded AWS: ministack in a child process, on loopback, with IAM enforced and its state on disk.

    python -m daypass.local.embedded_aws --port 8001 --data .daypass    # the child, which ends with its standard input

Any 12-digit access key id is that account's root, whatever the secret: no security boundary, so it stays on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
HUB_ACCOUNT: Final = "123456789012"
SNAPSHOT_SECONDS: Final = 1.0
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0
_PORT_TAKEN: Final = 3
_DATA_IN_USE: Final = 4
# What the child may know of the shell that started it. No AWS variable is among them.
_INHERITED: Final = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "PYTHONPATH", "SYSTEMROOT")


class CannotStart(Exception):
    """The embedded AWS does not run. The message is for the person at the terminal."""


class EmbeddedAws:
    """A running embedded AWS. It ends with `stop`, with the `with` block, or with this process, however that ends."""

    def __init__(self, child: subprocess.Popen[bytes], port: int) -> None:
        self._child = child
        self.port = port
        self.url = f"http://{HOST}:{port}"

    @classmethod
    def started(cls, *, data: Path, port: int = 0) -> Self:
        """Start one that keeps its state under `data`, and return when it answers. port: 0 is any free one.

        Raises CannotStart where the port is taken, another one uses the data, or the child dies.
        """
        folder = data / "aws"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = folder / "log"
        with log.open("ab") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-m", "daypass.local.embedded_aws", "--port", str(port), "--data", str(data)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                # Ctrl-C is for us: we stop the child after the last request was answered.
                start_new_session=True,
                env=_child_environment(),
            )
        try:
            assert child.stdout is not None
            told = child.stdout.readline().strip()
            if not told:
                raise CannotStart(_why_not(child, port, data, log))
            _await_answer(child, int(told), lambda: _why_not(child, port, data, log))
        except BaseException:
            _end(child)
            raise
        return cls(child, int(told))

    @property
    def pid(self) -> int:
        return self._child.pid

    def stop(self) -> None:
        """Take a last snapshot and end. Stopping twice is fine."""
        _end(self._child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _child_environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = os.pathsep.join(part for part in (root, inherited.get("PYTHONPATH", "")) if part)
    return {**inherited, "PYTHONPATH": path}


def _await_answer(child: subprocess.Popen[bytes], port: int, why_not: Callable[[], str]) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up:
        if child.poll() is not None:
            raise CannotStart(why_not())
        connection = http.client.HTTPConnection(HOST, port, timeout=2)
        try:
            connection.request("GET", "/_ministack/health")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.02)
        finally:
            connection.close()
    raise CannotStart(f"The embedded AWS does not answer on port {port} after {_START_SECONDS:.0f} s.")


def _why_not(child: subprocess.Popen[bytes], port: int, data: Path, log: Path) -> str:
    try:
        code = child.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        code = None
    if code == _PORT_TAKEN:
        return f"Port {port} on {HOST} is taken: choose another one for the embedded AWS."
    if code == _DATA_IN_USE:
        return f"Another Daypass uses the data folder {data}: stop it or choose another folder."
    last = log.read_text(errors="replace").splitlines()[-15:]
    return "\n".join([f"The embedded AWS ended with {code}. Its last lines ({log}):", *last])


def _end(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None and not pipe.closed:
            pipe.close()  # the end of its standard input is the child's sign to stop
    for ask in (None, child.terminate, child.kill):
        if ask is not None:
            ask()
        try:
            child.wait(timeout=_STOP_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue


# The child.

_Scope = dict[str, Any]
_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[Any], Awaitable[None]]
_Asgi = Callable[[_Scope, _Receive, _Send], Awaitable[None]]


def _run(port: int, data: Path) -> int:
    os.umask(0o077)
    folder = data / "aws"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return _DATA_IN_USE
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        return _PORT_TAKEN
    # ministack reads its environment at import, so this comes before.
    os.environ.update(_ministack_environment(listener.getsockname()[1], folder))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asyncio.run(_serve(listener))
    return 0


def _ministack_environment(port: int, folder: Path) -> dict[str, str]:
    return {
        "AUTH": "true",
        "MINISTACK_ACCOUNT_ID": HUB_ACCOUNT,
        "MINISTACK_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        # Both listeners ignore BIND_HOST and would bind 0.0.0.0.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        # It removes containers it takes for its own at start: it shall see no Docker at all.
        "DOCKER_HOST": f"unix://{folder / 'no-docker'}",
        "LOG_LEVEL": "WARNING",
    }


async def _serve(listener: socket.socket) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack import app as stack
    from ministack.core.persistence import save_all

    from daypass.local.taught import teach

    teach()
    changed = asyncio.Event()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_when_parent_is_gone, args=(loop, stopping), daemon=True).start()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)

    async def snapshots() -> None:
        while True:
            await changed.wait()
            changed.clear()
            began = time.monotonic()
            # A private name of ministack 1.5.33. Every service goes to a temporary file that is then renamed.
            save_all(stack._build_persistence_save_dict())
            # Nothing is answered meanwhile: at most a tenth of the time goes into it, however much there is to save.
            await asyncio.sleep(max(SNAPSHOT_SECONDS, 9 * (time.monotonic() - began)))

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.accesslog = config.errorlog = None
    config.graceful_timeout = 2
    task = asyncio.create_task(snapshots())
    try:
        # Its lifespan shutdown takes the last snapshot.
        await serve(_watched(stack.app, changed), config, shutdown_trigger=stopping.wait)  # type: ignore[arg-type]
    finally:
        task.cancel()


def _watched(app: _Asgi, changed: asyncio.Event) -> _Asgi:
    async def watched(scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "http" and any(name == b"origin" for name, _ in scope["headers"]):
            # A web page: no AWS client sends this header, and ministack lets anybody reset it.
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await app(scope, receive, send)
        if scope["type"] == "http" and not scope["path"].startswith("/_ministack/") and not _reads_a_stream(scope):
            changed.set()

    return watched


def _reads_a_stream(scope: _Scope) -> bool:
    """The pump asks several times a second, and would have everything saved without an end."""
    return any(name == b"x-amz-target" and value.startswith(b"DynamoDBStreams_") for name, value in scope["headers"])


def _when_parent_is_gone(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    """The parent holds the other end of our standard input: it ends with the parent, even after a kill -9."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    loop.call_soon_threadsafe(stopping.set)


def main() -> None:
    parser = argparse.ArgumentParser(description="The embedded AWS. Ends when its standard input does.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--data", type=Path, required=True)
    chosen = parser.parse_args()
    sys.exit(_run(chosen.port, chosen.data))


if __name__ == "__main__":
    main()
