"""Who a token request comes from, and the access token for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import structlog

from app.store.access_tokens import AccessTokens
from app.store.clients import Clients, ClientSecret
from app.store.connections import Connection
from app.store.federation import Federations, Trust
from app.store.tokens import CLIENT_SECRET, AccessToken, digest_of, well_formed
from app.web.oauth.assertions import BadAssertion, peek, verify
from app.web.oauth.errors import InvalidClient, TemporarilyUnavailable
from app.web.oauth.jwks import RETRY_S, IssuerKeys, KeysUnavailable
from app.web.oauth.requests import AssertionCredentials, SecretCredentials, TokenRequest

_log = structlog.get_logger(__name__)

_REFUSED = "the client is unknown or its secret or assertion is not good"
_REMEMBERED = 4096


class Authorized(msgspec.Struct, frozen=True, kw_only=True):
    """A client that is authenticated."""

    connection: Connection
    by: ClientSecret | Trust


class Grants:
    """Authenticates clients and gives out access tokens."""

    def __init__(
        self,
        clients: Clients,
        federations: Federations,
        access_tokens: AccessTokens,
        keys: IssuerKeys,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` answers Unix time."""
        self._clients = clients
        self._federations = federations
        self._access_tokens = access_tokens
        self._keys = keys
        self._clock = clock
        self._good: dict[bytes, None] = {}

    def remembers(self, request: TokenRequest) -> bool:
        """Whether this secret was good when it was last sent to this process; it is checked all the same.

        Behind a proxy that is not trusted all clients have one address: one with a wrong secret must not lock
        out the others.
        """
        sent = request.credentials
        return (
            isinstance(sent, SecretCredentials)
            and well_formed(sent.secret, CLIENT_SECRET)
            and digest_of(sent.secret) in self._good
        )

    async def authenticate(self, request: TokenRequest) -> Authorized:
        """Find out who asks.

        Raises `InvalidClient`, or `TemporarilyUnavailable` where the issuer's keys cannot be had.
        """
        if isinstance(request.credentials, SecretCredentials):
            return await self._by_secret(request.credentials)
        try:
            return await self._by_assertion(request.credentials)
        except BadAssertion as exc:
            _log.warning("client assertion refused", reason=str(exc))
            raise InvalidClient(_REFUSED) from exc
        except KeysUnavailable as exc:
            raise TemporarilyUnavailable(
                "the keys of the assertion's issuer cannot be had now: try again", retry_after_s=RETRY_S
            ) from exc

    async def issue(self, authorized: Authorized) -> tuple[AccessToken, str]:
        """An access token and its text; `InvalidClient` for a client that was removed meanwhile."""
        issued = await self._access_tokens.issue(authorized.connection.id, authorized.by)
        if issued is None:
            raise InvalidClient(_REFUSED)
        return issued

    async def aclose(self) -> None:
        """Close the connections to issuers."""
        await self._keys.aclose()

    async def _by_secret(self, sent: SecretCredentials) -> Authorized:
        found = await self._clients.authenticate(sent.client_id, sent.secret)
        self._remember(sent.secret, good=found is not None)
        if found is None:
            raise InvalidClient(_REFUSED)
        return Authorized(connection=found.connection, by=found.secret)

    async def _by_assertion(self, sent: AssertionCredentials) -> Authorized:
        kid, claims = peek(sent.assertion)
        some = await self._federations.of_issuer(claims.iss)
        if some is None:
            raise BadAssertion("no trust has this issuer")
        matches = await self._federations.find(claims.iss, claims.sub, claims.audiences)
        # Also where none matches the signature is checked, with the keys of some trust of the issuer: only
        # somebody whom the issuer has signed for learns how subjects and audiences are taken.
        trust = matches[0][0] if matches else some
        keys = await self._keys.find(trust.issuer, trust.jwks_url, kid)
        try:
            verify(
                sent.assertion,
                keys,
                issuer=trust.issuer,
                subject=trust.subject,
                audience=trust.audience,
                now=self._clock(),
            )
        except BadAssertion as exc:
            raise BadAssertion(f"{exc} (issuer {trust.issuer})") from exc
        if len(matches) != 1:
            raise BadAssertion("its audiences belong to several connections" if matches else "no trust fits")
        if sent.client_id not in (None, trust.id, trust.subject):
            raise BadAssertion("client_id is neither the subject nor the trust's id")
        return Authorized(connection=matches[0][1], by=trust)

    def _remember(self, secret: str, *, good: bool) -> None:
        if not well_formed(secret, CLIENT_SECRET):
            return
        digest = digest_of(secret)
        # Taken out and put at the end: the longest unused is the first to go.
        self._good.pop(digest, None)
        if good:
            if len(self._good) >= _REMEMBERED:
                del self._good[next(iter(self._good))]
            self._good[digest] = None
