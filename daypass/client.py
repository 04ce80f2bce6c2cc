"""The Daypass API over HTTP: for the command, and for programs of one's own."""

from __future__ import annotations

import ipaddress
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    import urllib3

Json = dict[str, Any]

Sign = Callable[[str, str, Mapping[str, str], bytes | None], Mapping[str, str]]
"""The headers of a request with its proof among them, from its method, URL, headers and body."""

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 31.0  # API Gateway gives up after 29
ATTEMPTS: Final = 3
LONGEST_WAIT_SECONDS: Final = 10.0
LARGEST_ANSWER: Final = 8 * 1024 * 1024
PAGE: Final = 50
ACTS: Final = 500
SEARCHED: Final = 500
_ID_LENGTH: Final = 26
_UNTOLD_WAIT_SECONDS: Final = 0.4


class DaypassError(Exception):
    """Anything but the answer that was asked for. `str` of it is one sentence for a person, with no secret in it.

    status: the HTTP status; None where there was no answer from Daypass.
    slug: the word to branch on, as in `not-eligible`; of our own: `not-configured`, `not-logged-in`, `login-failed`,
    `unreachable`, `slow`, `throttled`, `not-daypass`, `no-such-request`, `ambiguous`.
    errors: what is wrong with which field, for `invalid`. retry_after: the seconds that the server asked to wait.
    """

    def __init__(
        self,
        detail: str,
        *,
        slug: str,
        status: int | None = None,
        title: str = "",
        errors: Sequence[Mapping[str, str]] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.slug = slug
        self.status = status
        self.title = title
        self.errors = tuple(errors)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One person's or program's view of one Daypass.

    A call that may be repeated without doing anything twice is, where nothing or a 503 came back. Raises DaypassError.
    token: a bearer token, or what gives one: it is asked at the first call, and once more where the server answers 401.
    sign: proves who asks in place of a token, at the IAM door. With neither, only what is open to everybody answers.
    patience: how many seconds an answer may take. ahead: by how many seconds the server's clock was ahead of this
    machine's at the latest answer; 0 where that did not say.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str] | None = None,
        *,
        sign: Sign | None = None,
        patience: float = READ_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = checked_url(url)
        self._token = _checked_token(token) if isinstance(token, str) else ""
        self._source = token if callable(token) else None
        self._sign = sign
        self._patience = patience
        self._sleep = sleep
        self._made: urllib3.PoolManager | None = None
        self.ahead = 0.0

    def __repr__(self) -> str:
        return f"Client({self._base!r})"

    def logins(self) -> list[Json]:
        """Who signs people in here: `name, url, client_id, audience, scopes` of each. Needs no proof."""
        issuers = self._call("GET", "/v1/login").get("issuers")
        if not isinstance(issuers, list) or not all(isinstance(issuer, dict) for issuer in issuers):
            raise self._not_daypass("a login without issuers")
        return issuers

    def me(self) -> Json:
        return self._call("GET", "/v1/me")

    def roles(self, q: str = "", *, limit: int = PAGE) -> Iterator[Json]:
        return islice(self._pages("/v1/roles", {"q": q} if q else {}, limit), limit)

    def ask(
        self,
        role: str,
        duration_seconds: int,
        reason: str,
        *,
        ticket: str | None = None,
        scope: str | None = None,
        parameters: Mapping[str, str] | None = None,
        session_policy: str | None = None,
        starts_at: str | None = None,
        break_glass: bool = False,
        key: str | None = None,
    ) -> Json:
        """Submit a request. key: the Idempotency-Key; the same one again gives the same request, never a second.

        starts_at: when the access shall begin, in RFC 3339 with a zone; None: with its first use.
        break_glass: access now, approval never, review afterwards.
        """
        body = _ask_body(role, duration_seconds, reason, ticket, scope, parameters, session_policy, starts_at)
        body |= {"break_glass": True} if break_glass else {}
        return self._call("POST", "/v1/requests", body=body, key=key or str(uuid.uuid4()))

    def dry_run(
        self,
        role: str,
        duration_seconds: int,
        reason: str,
        *,
        ticket: str | None = None,
        scope: str | None = None,
        parameters: Mapping[str, str] | None = None,
        session_policy: str | None = None,
        starts_at: str | None = None,
    ) -> Json:
        """What would become of an ask; nothing is recorded."""
        body = _ask_body(role, duration_seconds, reason, ticket, scope, parameters, session_policy, starts_at)
        return self._call("POST", "/v1/requests", query={"dry_run": "true"}, body=body, repeatable=True)

    def extend(
        self,
        request_id: str,
        duration_seconds: int,
        reason: str,
        *,
        ticket: str | None = None,
        dry_run: bool = False,
        key: str | None = None,
    ) -> Json:
        """Ask for more of the same from where a request of one's own ends. key: as for `ask`.

        dry_run: what would become of it; nothing is recorded.
        """
        body = {"extends": request_id, "duration_seconds": duration_seconds, "reason": reason, "ticket": ticket}
        if dry_run:
            return self._call("POST", "/v1/requests", query={"dry_run": "true"}, body=_given(body), repeatable=True)
        return self._call("POST", "/v1/requests", body=_given(body), key=key or str(uuid.uuid4()))

    def requests(
        self,
        *,
        mine: bool = False,
        to_approve: bool = False,
        state: str | None = None,
        role: str | None = None,
        limit: int = PAGE,
    ) -> Iterator[Json]:
        """The visible requests that pass every filter, newest first; those to approve: the next to lapse first."""
        query = {"mine": "true" if mine else None, "to_approve": "true" if to_approve else None}
        given = {name: value for name, value in {**query, "state": state, "role": role}.items() if value is not None}
        return islice(self._pages("/v1/requests", given, limit), limit)

    def request(self, request_id: str) -> Json:
        return self._call("GET", _path(request_id))

    def events(self, request_id: str) -> Iterator[Json]:
        return self._pages(_path(request_id, "events"), {}, PAGE)

    def activity(self, request_id: str) -> Json:
        """What was done with a request's sessions: all calls that are listed, oldest first, and each session's account.

        Who looks at somebody else's is told to auditors.
        """
        path, query = _path(request_id, "activity"), {"limit": str(ACTS)}
        whole = self._call("GET", path, query=query)
        for page in self._further(path, query, whole):
            whole["items"] += page["items"]
        return {**whole, "next_cursor": None}

    def accounts(self, request_id: str) -> Json:
        """The same without the calls: `sessions` and `summary` alone are whole."""
        return self._call("GET", _path(request_id, "activity"), query={"limit": "1"})

    def day(self, day: str) -> Iterator[Json]:
        """Everybody's events of a day of UTC's (`2026-11-23`), each with its `request_id` or `chain`: for auditors."""
        return self._pages("/v1/events", {"day": day}, PAGE)

    def approve(self, request_id: str, *, comment: str | None = None, duration_seconds: int | None = None) -> Json:
        body = {"comment": comment, "duration_seconds": duration_seconds}
        return self._call("POST", _path(request_id, "approve"), body=_given(body))

    def deny(self, request_id: str, comment: str) -> Json:
        return self._call("POST", _path(request_id, "deny"), body={"comment": comment})

    def escalate(self, request_id: str, reason: str) -> Json:
        return self._call("POST", _path(request_id, "escalate"), body={"reason": reason})

    def review(self, request_id: str, verdict: str, comment: str) -> Json:
        return self._call("POST", _path(request_id, "review"), body={"verdict": verdict, "comment": comment})

    def cancel(self, request_id: str) -> Json:
        return self._call("POST", _path(request_id, "cancel"), body={})

    def give_back(self, request_id: str, *, cut: bool = False) -> Json:
        """cut: end the sessions that were lent, too; what became of that is the answer's `revocation`."""
        return self._call("POST", _path(request_id, "return"), body={"cut": True} if cut else {})

    def revoke(self, request_id: str, comment: str) -> Json:
        """Take somebody's access away. What became of the live sessions is the answer's `revocation`."""
        return self._call("POST", _path(request_id, "revoke"), body={"comment": comment})

    def erase(self, request_id: str) -> Json:
        """Take out what people wrote, for good: for auditors, once the request is over."""
        return self._call("POST", _path(request_id, "erase"), body={}, repeatable=True)

    def credentials(self, request_id: str) -> Json:
        """A new session of a request, in the form that `credential_process` reads, and whose it is."""
        return self._call("POST", _path(request_id, "credentials"), body={}, repeatable=True)

    def console(self, request_id: str, *, destination: str | None = None) -> Json:
        """A link that signs in to the AWS console (`url`, until `expires_at`): as secret as credentials are.

        destination: the page that it leads to. It takes a new session every time, so nothing is repeated.
        """
        answer = self._call("POST", _path(request_id, "console"), body=_given({"destination": destination}))
        if not _is_web_page(answer.get("url")):
            raise self._not_daypass("a link that is none")
        return answer

    def bind_slack(self, code: str, *, email: str | None = None) -> Json:
        """Say that a Slack user is you. code: as Slack showed it to that user; email: theirs, if it is not yours."""
        return self._call("POST", "/v1/slack/bind", body=_given({"code": code, "email": email}), repeatable=True)

    def unbind_slack(self) -> Json:
        """Say that no Slack user is you any more. `ended`: those who were, by team and user."""
        return self._call("POST", "/v1/slack/unbind", body={}, repeatable=True)

    def find(self, ending: str, *, mine: bool = False) -> str:
        """The id of the one visible request that ends in `ending`, among the newest 500."""
        wanted = _checked_ending(ending)
        if len(wanted) == _ID_LENGTH:
            return wanted
        found = [request["id"] for request in self.requests(mine=mine, limit=SEARCHED)]
        return only_ending(wanted, found)

    def _further(self, path: str, query: Mapping[str, str], page: Json) -> Iterator[Json]:
        """The pages after this one. Each has `items`, a list."""
        while True:
            if not isinstance(page.get("items"), list):
                raise self._not_daypass("a list without items")
            cursor = page.get("next_cursor")
            if cursor is None:
                return
            page = self._call("GET", path, query={**query, "cursor": str(cursor)})
            if page.get("next_cursor") == cursor:
                raise self._not_daypass("a list that does not end")
            yield page

    def _pages(self, path: str, query: Mapping[str, str], limit: int) -> Iterator[Json]:
        """The items of a list. A page may be empty and still not be the last."""
        cursor: str | None = None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = self._call("GET", path, query={**query, "limit": str(max(1, min(limit, PAGE))), **more})
            items = page.get("items")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise self._not_daypass("a list without items")
            yield from items
            before, cursor = cursor, page.get("next_cursor")
            if cursor is None:
                return
            if not isinstance(cursor, str) or cursor == before:
                raise self._not_daypass("a list that does not end")

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        key: str | None = None,
        repeatable: bool = False,
    ) -> Json:
        door = "/iam" if self._sign else ""
        # %20 for a space, never +: signatures are over the former.
        url = self._base + door + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        sent = None if body is None else json.dumps(body).encode()
        attempts = ATTEMPTS if method == "GET" or key is not None or repeatable else 1
        renewed = False
        while True:
            attempts -= 1
            proven = self._proven(method, url, headers, sent)
            try:
                return self._read(self._send(method, url, proven, sent))
            except DaypassError as error:
                if error.status == 401 and self._source and not renewed:
                    # Nothing was done: whatever it is, it may be asked again.
                    self._token, renewed, attempts = "", True, attempts + 1
                    continue
                wait = error.retry_after if error.retry_after is not None else _UNTOLD_WAIT_SECONDS
                if not attempts or not _worth_repeating(error) or wait > LONGEST_WAIT_SECONDS:
                    raise
            self._sleep(wait)

    def _proven(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Mapping[str, str]:
        """The headers with what proves who asks."""
        if self._sign:
            return self._sign(method, url, headers, body)
        if self._source and not self._token:
            self._token = _checked_token(self._source())
        return {**headers, "Authorization": f"Bearer {self._token}"} if self._token else headers

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> _Answer:
        import urllib3

        try:
            response = self._pool().request(
                method, url, headers=headers, body=body, redirect=False, retries=False, preload_content=False
            )
            try:
                body_read = self._whole(response)
            except BaseException:
                response.close()
                raise
            response.release_conn()
            self.ahead = _ahead(response.headers.get("Date"))
            return _Answer(response.status, response.headers, body_read)
        except (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError) as error:
            raise DaypassError(
                f"Nothing answers at {self._base}: is that the right DAYPASS_URL, and is Daypass running?",
                slug="unreachable",
            ) from error
        except urllib3.exceptions.ReadTimeoutError as error:
            raise self._slow() from error
        except urllib3.exceptions.SSLError as error:
            raise DaypassError(
                f"The certificate of {self._base} could not be verified.", slug="not-configured"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise DaypassError(
                f"The connection to {self._base} broke before an answer came.", slug="unreachable"
            ) from error

    def _whole(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """The body, unless it is too large or drips in for too long."""
        give_up = time.monotonic() + self._patience
        body = bytearray()
        while piece := response.read1(65536):
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise self._not_daypass("an answer without end")
            if time.monotonic() > give_up:
                raise self._slow()
        return bytes(body)

    def _pool(self) -> urllib3.PoolManager:
        if self._made is None:
            import urllib3

            timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=self._patience)
            self._made = urllib3.PoolManager(timeout=timeout, maxsize=1)
        return self._made

    def _read(self, answer: _Answer) -> Json:
        try:
            said = json.loads(answer.body)
        except ValueError:
            said = None
        if 200 <= answer.status < 300:
            if not isinstance(said, dict):
                raise self._not_daypass(_kind(answer))
            return said
        raise self._refusal(answer, said if isinstance(said, dict) else {})

    def _refusal(self, answer: _Answer, said: Json) -> DaypassError:
        kind = said.get("type")
        if isinstance(kind, str) and kind.startswith("urn:daypass:problem:"):
            errors = said.get("errors")
            return DaypassError(
                self._clean(said.get("detail") or said.get("title") or f"Daypass answered {answer.status}."),
                slug=kind.removeprefix("urn:daypass:problem:"),
                status=answer.status,
                title=self._clean(said.get("title") or ""),
                errors=[self._field(error) for error in errors] if isinstance(errors, list) else (),
                retry_after=_seconds(answer.headers.get("Retry-After")),
            )
        return DaypassError(
            _WITHOUT_PROBLEM.get(answer.status, f"{{url}} answered {answer.status} with {_kind(answer)}.").format(
                url=self._base
            ),
            slug=_SLUG_WITHOUT_PROBLEM.get(answer.status, "not-daypass"),
            status=answer.status,
            retry_after=_seconds(answer.headers.get("Retry-After")),
        )

    def _field(self, error: object) -> dict[str, str]:
        known = error if isinstance(error, dict) else {}
        return {name: self._clean(known.get(name, "")) for name in ("field", "message")}

    def _clean(self, text: object) -> str:
        """The server's words, without the token should a server have put it there."""
        return str(text).replace(self._token, "•••") if self._token else str(text)

    def _slow(self) -> DaypassError:
        return DaypassError(f"{self._base} took longer than {self._patience:.0f} s to answer.", slug="slow")

    def _not_daypass(self, what: str) -> DaypassError:
        return DaypassError(
            f"{self._base} answered with {what}, not as Daypass does: check DAYPASS_URL.", slug="not-daypass"
        )


# What API Gateway or a proxy answers without Daypass.
_WITHOUT_PROBLEM: Mapping[int, str] = {
    401: "{url} does not accept the token: get a new one.",
    403: "{url} refused the call before Daypass saw it: check DAYPASS_URL, its path included.",
    404: "There is no Daypass at {url}: check DAYPASS_URL, its path included.",
    429: "{url} has too many calls at the moment: try again in a minute.",
    502: "{url} answers, but Daypass behind it does not (502): try again, then ask whoever runs it.",
    503: "{url} cannot answer at the moment (503): try again in a minute.",
    504: "{url} answers, but Daypass behind it took too long (504): try again.",
}
_SLUG_WITHOUT_PROBLEM: Mapping[int, str] = {401: "unauthenticated", 429: "throttled", 503: "unavailable", 504: "slow"}


def only_ending(ending: str, ids: Sequence[str]) -> str:
    """The one id that ends so. Raises DaypassError where there is none or more than one."""
    found = [known for known in ids if known.endswith(_checked_ending(ending))]
    if len(found) == 1:
        return found[0]
    if not found:
        raise DaypassError(f"No request that you may see ends in {ending}.", slug="no-such-request")
    named = ", ".join(found[:5]) + (" and more" if len(found) > 5 else "")
    raise DaypassError(f"{len(found)} requests end in {ending}: {named}. Write more of the id.", slug="ambiguous")


def _checked_ending(ending: str) -> str:
    """The ending as ids are written. Raises DaypassError for an empty one, which every id would have."""
    if not (ending.isascii() and ending.isalnum()):
        raise DaypassError(f"{ending!r} is no ending of an id: write letters and digits.", slug="no-such-request")
    return ending.upper()


def _worth_repeating(error: DaypassError) -> bool:
    return error.status == 503 or error.slug == "unreachable"


def _ask_body(
    role: str,
    duration_seconds: int,
    reason: str,
    ticket: str | None,
    scope: str | None,
    parameters: Mapping[str, str] | None,
    session_policy: str | None,
    starts_at: str | None,
) -> Json:
    chosen = {"name": scope, "parameters": dict(parameters or {})} if scope is not None else None
    body = {"role": role, "duration_seconds": duration_seconds, "reason": reason, "ticket": ticket}
    return _given({**body, "scope": chosen, "session_policy": session_policy, "starts_at": starts_at})


def _given(body: Mapping[str, object]) -> Json:
    return {name: value for name, value in body.items() if value is not None}


def _path(request_id: str, *rest: str) -> str:
    if not (request_id.isascii() and request_id.isalnum()):
        raise DaypassError("An id of a request holds letters and digits only.", slug="no-such-request")
    return "/".join(["/v1/requests", request_id, *rest])


def _ahead(date: str | None) -> float:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date or "").timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0


def _kind(answer: _Answer) -> str:
    kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if not answer.body:
        return "nothing"
    if kind == "text/html" or answer.body.lstrip()[:1] == b"<":
        return "a web page"
    return "broken JSON" if kind.endswith("json") else "something else than JSON"


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isascii() and header.isdigit() else None


def checked_url(url: str) -> str:
    """The address without a slash at its end. A token goes over TLS, or stays on this machine."""
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.scheme in ("http", "https") and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or parts.username is not None:
        raise DaypassError(
            "DAYPASS_URL is not an address: write it as in https://daypass.example.com.", slug="not-configured"
        )
    if parts.scheme == "http" and not on_this_machine(parts.hostname or ""):
        raise DaypassError(
            f"{url} would send your token in the clear: use https (http is for this machine only).",
            slug="not-configured",
        )
    return url.rstrip("/")


def _is_web_page(url: object) -> bool:
    """Whether a browser may be sent there: an address on the web, or on this machine."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and on_this_machine(host)))


def on_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked_token(token: str) -> str:
    """The token, where it can stand in a header. What it is is never said."""
    if not token or not all("!" <= character <= "~" for character in token):
        raise DaypassError("The token is empty or holds characters that no token has.", slug="not-configured")
    return token
