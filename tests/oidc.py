"""An STS for tests that does what the embedded one leaves out of AssumeRoleWithWebIdentity.

It verifies a token by what its issuer publishes over HTTP, as AWS documents it, keeps the session policy, and lets that
policy decide what the session may do (`tests.iam`). The same server is the issuer's web server.
Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html.
"""

from __future__ import annotations

import itertools
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import jwt

from chalicelib.core.times import stamp
from tests.iam import allowed

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy of the environment
_SHORTEST = timedelta(seconds=900)


class No(Exception):
    """An error as STS answers it."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class TrustedRole:
    """A role whose trust policy names the provider: StringEquals on `aud` and `sub`, for these actions."""

    sub: str
    aud: str = "sts.amazonaws.com"
    max_session: timedelta = timedelta(hours=12)
    actions: frozenset[str] = frozenset({"sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"})


@dataclass(frozen=True)
class StubSession:
    """What a session is, in the target account."""

    role_arn: str
    name: str
    policy: str
    source_identity: str
    tags: Mapping[str, str]
    transitive: tuple[str, ...]
    expires_at: datetime


@dataclass
class StubSts:
    """roles: by ARN. documents: what the issuer publishes, by path. audiences: of the provider in every account.

    tokens: all that it was shown. sessions: all that it lent, by access key id. says: an answer in place of its own.
    """

    url: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    roles: dict[str, TrustedRole] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)
    audiences: frozenset[str] = frozenset({"sts.amazonaws.com"})
    tokens: list[str] = field(default_factory=list)
    signed_calls: int = 0
    sessions: dict[str, StubSession] = field(default_factory=dict)
    says: Callable[[str], tuple[int, str, bytes]] | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def issuer(self) -> str:
        return f"{self.url}/issuer"

    def may(self, access_key_id: str, action: str, resource: str = "arn:aws:s3:::payments-files") -> bool:
        """A service in the target account, deciding by the session policy alone: the role itself may do everything."""
        session, now = self.sessions[access_key_id], self.now()
        return now < session.expires_at and allowed(session.policy, action, resource, now)

    def answered(self, call: Mapping[str, str]) -> tuple[int, str, bytes]:
        token = call["WebIdentityToken"]
        self.tokens.append(token)
        if self.says:
            return self.says(token)
        try:
            return 200, "text/xml", self._lent(call, token)
        except No as no:
            return no.status, "text/xml", _error(no)

    def _lent(self, call: Mapping[str, str], token: str) -> bytes:
        claims = self._verified(token)
        role_arn = call["RoleArn"]
        role = self._trusting(role_arn, claims)
        duration = timedelta(seconds=int(call["DurationSeconds"]))
        if not _SHORTEST <= duration <= role.max_session:
            raise No("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration of this role.")
        if len(call["Policy"]) > 2048:
            raise No("ValidationError", "Member must have length less than or equal to 2048")
        number = next(self._numbers)
        tags = claims["https://aws.amazon.com/tags"]
        session = StubSession(
            role_arn=role_arn,
            name=call["RoleSessionName"],
            policy=call["Policy"],
            source_identity=claims["https://aws.amazon.com/source_identity"],
            tags={key: value for key, [value] in tags["principal_tags"].items()},
            transitive=tuple(tags["transitive_tag_keys"]),
            expires_at=self.now() + duration,
        )
        key = f"ASIASTUB{number:012d}"
        self.sessions[key] = session
        return _session(key, session)

    def _verified(self, token: str) -> dict[str, Any]:
        """The claims, once signature, key, issuer, audience and time are right."""
        try:
            header = jwt.get_unverified_header(token)
            issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
        except (jwt.PyJWTError, KeyError):
            raise No("InvalidIdentityToken", "The token is not a JWT") from None
        if issuer != self.issuer:
            raise No("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}")
        discovery = _fetched(f"{issuer}/.well-known/openid-configuration")
        if discovery["issuer"] != issuer or header["alg"] not in discovery["id_token_signing_alg_values_supported"]:
            raise No("InvalidIdentityToken", "The discovery document is another issuer's")
        keys = [key for key in _fetched(discovery["jwks_uri"])["keys"] if key["kid"] == header.get("kid")]
        if not keys:
            raise No("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider")
        try:
            claims: dict[str, Any] = json.loads(jwt.PyJWS().decode(token, jwt.PyJWK(keys[0]), algorithms=["RS256"]))
        except jwt.PyJWTError:
            raise No("InvalidIdentityToken", "The signature is not valid") from None
        if claims["aud"] not in self.audiences:
            raise No("InvalidIdentityToken", "Incorrect token audience")
        if not claims["iat"] <= self.now().timestamp() < claims["exp"]:
            raise No(
                "ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time"
            )
        return claims

    def _trusting(self, role_arn: str, claims: Mapping[str, Any]) -> TrustedRole:
        role = self.roles.get(role_arn)
        wanted = {"sts:AssumeRoleWithWebIdentity"}
        if claims.get("https://aws.amazon.com/tags"):
            wanted.add("sts:TagSession")
        if claims.get("https://aws.amazon.com/source_identity"):
            wanted.add("sts:SetSourceIdentity")
        if role is None or (claims["aud"], claims["sub"]) != (role.aud, role.sub) or not wanted <= role.actions:
            raise No("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
        return role


@contextmanager
def stub_sts() -> Iterator[StubSts]:
    """Serves STS at its URL, and the issuer's documents below `issuer`, until the end of the block."""
    sts: StubSts

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = sts.documents.get(self.path.removeprefix("/issuer/"))
            self._answer(200 if document else 404, "application/json", document or b"")

        def do_POST(self) -> None:
            sts.signed_calls += "Authorization" in self.headers
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._answer(*sts.answered({name: values[0] for name, values in form.items()}))

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sts = StubSts(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield sts
    finally:
        server.shutdown()
        server.server_close()


def _fetched(url: str) -> dict[str, Any]:
    try:
        with _DIRECT.open(url, timeout=5) as answer:
            document: dict[str, Any] = json.load(answer)
    except (OSError, ValueError):
        raise No("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider") from None
    return document


def _session(key: str, session: StubSession) -> bytes:
    account, role = session.role_arn.split(":")[4], session.role_arn.rpartition("/")[2]
    return f"""<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret of {key}</SecretAccessKey>
<SessionToken>token of {key}</SessionToken><Expiration>{stamp(session.expires_at)}</Expiration></Credentials>
<AssumedRoleUser><Arn>arn:aws:sts::{account}:assumed-role/{role}/{session.name}</Arn>
<AssumedRoleId>AROASTUB:{session.name}</AssumedRoleId></AssumedRoleUser>
<SourceIdentity>{session.source_identity}</SourceIdentity>
</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>stub-{key}</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>""".encode()


def _error(no: No) -> bytes:
    return f"""<ErrorResponse><Error><Type>Sender</Type><Code>{no.code}</Code><Message>{escape(no.message)}</Message>
</Error><RequestId>stub-no</RequestId></ErrorResponse>""".encode()
