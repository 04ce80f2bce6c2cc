"""AWS, Slack and the issuers as a stub on loopback: it says yes at once, so that what is measured is ours.

python -m benchmarks.stub FOLDER        prints its port, and ends with its standard input
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from daypass.local import issuers

_CREDENTIALS = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:one</AssumedRoleId>
<Arn>arn:aws:sts::222222222222:assumed-role/PaymentsRead/one</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>ASIAEXAMPLEEXAMPLE00</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
<PackedPolicySize>6</PackedPolicySize></AssumeRoleResult>
<ResponseMetadata><RequestId>00000000-0000-0000-0000-000000000000</RequestId></ResponseMetadata></AssumeRoleResponse>
"""


_NOTHING = b'{"Responses": {"daypass": []}, "UnprocessedKeys": {}}'
_PROFILE = {"ok": True, "user": {"team_id": "T0EXAMPLE", "profile": {"email": "alice@example.com"}}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    calls: ClassVar[Counter[str]] = Counter()
    documents: ClassVar[Mapping[str, bytes]] = {}

    def do_GET(self) -> None:
        if self.path == "/calls":
            self._say(json.dumps(self.calls).encode())
            self.calls.clear()
        else:
            self._say(self.documents[self.path])

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/slack/"):
            self._say(json.dumps(_PROFILE).encode())
            return
        target = self.headers.get("X-Amz-Target")
        self.calls[target.partition(".")[2] if target else "AssumeRole"] += 1
        self._say(_NOTHING if target else _CREDENTIALS.encode())

    def _say(self, body: bytes) -> None:
        # In one piece: two would meet Nagle's algorithm and a delayed acknowledgement, and measure those.
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def log_message(self, format: str, *args: Any) -> None: ...


def main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        keys = issuers.keys(Path(sys.argv[1]))
        Handler.documents = issuers.documents(keys, f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
