"""The API in memory as a WSGI application: a stand-in for API Gateway that answers unknown addresses itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from tests.web.api import Api


def application(api: Api) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or (name == "CONTENT_TYPE" and value)
        }
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode("utf-8", "replace")
        query = environ.get("QUERY_STRING") or ""
        try:
            got = api.call(
                environ["REQUEST_METHOD"],
                f"{quote(environ['PATH_INFO'], encoding='latin-1')}{'?' if query else ''}{query}",
                who=None,
                raw=body or None,
                headers=headers,
                typed=False,
            )
        except LookupError:
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [b'{"message":"Missing Authentication Token"}']
        status = HTTPStatus(got.status)
        start_response(f"{status.value} {status.phrase}", list(got.headers.items()))
        return [got.body.encode()]

    return answer
