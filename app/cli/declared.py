"""The file of `scim-bridge connection apply`: which connections, tokens, clients and trusts there shall be.

Secrets are in it by reference only, and leave this module as hashes; no message repeats one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from app.config import SettingsError
from app.store.clients import MAX_SECRETS, check_client_id
from app.store.connections import DialectSettings, Policies, check_connection
from app.store.errors import InvalidRecord
from app.store.federation import check_trust
from app.store.tokens import ACCESS_TOKEN, CLIENT_SECRET, TOKEN, check_label, given_digest

_Setting = TypeVar("_Setting", bound=msgspec.Struct)

_SECRETS_BEGIN = (TOKEN, CLIENT_SECRET, ACCESS_TOKEN)


class DeclarationError(SettingsError):
    """A file of connections that cannot be applied: which file, which key in it, and why."""

    def __init__(self, file: Path, key: str, reason: str) -> None:
        super().__init__(f"{file}: {key}: {reason}" if key else f"{file}: {reason}")


class DeclaredToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, or a client's secret, that shall live."""

    key: str
    """Where the file declares it, for messages."""
    label: str
    """Its name within the connection or the client."""
    digest: bytes
    """The hash of its secret, as it is stored."""


class DeclaredClient(msgspec.Struct, frozen=True, kw_only=True):
    """An OAuth client that there shall be."""

    key: str
    """Where the file declares it, for messages."""
    id: str
    """The `client_id`."""
    label: str
    secrets: tuple[DeclaredToken, ...]


class DeclaredTrust(msgspec.Struct, frozen=True, kw_only=True):
    """A federation trust that there shall be."""

    key: str
    """Where the file declares it, for messages."""
    issuer: str
    subject: str
    audience: str
    jwks_url: str | None

    @property
    def name(self) -> tuple[str, str, str]:
        """What it is found by."""
        return (self.issuer, self.subject, self.audience)


class DeclaredConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that there shall be."""

    key: str
    """Where the file declares it, for messages."""
    name: str
    tenant_id: str
    mapping: str
    """As it is stored: a name, or an absolute path."""
    domain: str
    dialect: DialectSettings
    policies: Policies
    tokens: tuple[DeclaredToken, ...]
    clients: tuple[DeclaredClient, ...] = ()
    trusts: tuple[DeclaredTrust, ...] = ()


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[connections.tokens]]`, `[[connections.clients.secrets]]`; exactly one of the two references."""

    label: str
    """Its name within the connection or the client; another secret behind it replaces the former one."""
    secret_file: str | None = None
    """The file that has the secret; a path is from the directory of the file of connections."""
    secret_env: str | None = None
    """The variable that has it, in the place of a file."""


class _Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[connections.clients]]`."""

    id: str
    """Its `client_id`, of one's choice."""
    label: str = ""
    """What the client is."""
    secrets: tuple[_Token, ...] = ()
    """Its secrets, two at most; keys as of a token."""


class _Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[connections.federation]]`."""

    issuer: str
    """The assertion's `iss`, an https URL."""
    subject: str
    """The assertion's `sub`."""
    audience: str
    """The assertion's `aud`."""
    jwks_url: str | None = None
    """Where the issuer's keys are, where its discovery does not tell."""


class _Connection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[connections]]`. The two tables stay tables here: their keys are whatever the structs have."""

    name: str
    """The connection's identity; another name is another connection."""
    tenant_id: str
    """The platform's id of the tenant, for good: another tenant needs another connection."""
    mapping: str = "default"
    """Name of the mapping, or its path from the directory of this file."""
    domain: str = "default"
    """Provisioning domain of externalId."""
    dialect: dict[str, Any] = {}
    """Which tolerances the client is allowed; the keys are below."""
    policies: dict[str, Any] = {}
    """What the client may cause; the keys are those of the policies."""
    tokens: tuple[_Token, ...] = ()
    """The bearer tokens that shall live."""
    clients: tuple[_Client, ...] = ()
    """The OAuth clients that there shall be."""
    federation: tuple[_Trust, ...] = ()
    """The issuers whose assertions are trusted."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    """The version of this form."""
    connections: tuple[_Connection, ...] = ()
    """The connections that there shall be."""


def read_declared(file: Path, environ: Mapping[str, str]) -> tuple[DeclaredConnection, ...]:
    """Read a file of connections and the secrets it names; DeclarationError where it cannot be applied."""
    try:
        text = read_text(file)
    except (OSError, UnicodeDecodeError) as exc:
        raise DeclarationError(file, "", f"cannot be read: {exc}") from exc
    return parse_declared(text, file, environ, read_text)


def read_text(file: Path) -> str:
    """The text of a file."""
    return file.read_text("utf-8")


def parse_declared(
    text: str, file: Path, environ: Mapping[str, str], read: Callable[[Path], str]
) -> tuple[DeclaredConnection, ...]:
    """Check the text of a file of connections: TOML, or JSON where the file's name ends so.

    `read` gives the text of a secret's file. Relative paths start at the directory of `file`.
    """
    return _Reader(file, environ, read).read(text)


class _Reader:
    def __init__(self, file: Path, environ: Mapping[str, str], read: Callable[[Path], str]) -> None:
        self._file = file
        self._environ = environ
        self._read = read

    def read(self, text: str) -> tuple[DeclaredConnection, ...]:
        try:
            data: Any = msgspec.json.decode(text) if self._file.suffix == ".json" else tomllib.loads(text)
        except (tomllib.TOMLDecodeError, msgspec.DecodeError) as exc:
            raise self._error("", f"not {'JSON' if self._file.suffix == '.json' else 'TOML'}: {exc}") from exc
        declared = self._converted(data, _File)
        if not declared.connections:
            # An empty file is an accident, and with --prune a costly one.
            raise self._error("connections", "declares no connection; `connection remove` takes the last one")
        found = tuple(
            self._connection(each, f"connections[{number}] ({each.name})")
            for number, each in enumerate(declared.connections)
        )
        self._refuse_repeated([(each.key, each.name) for each in found], "name")
        clients = [client for each in found for client in each.clients]
        secrets = [token for each in found for token in each.tokens]
        secrets += [secret for client in clients for secret in client.secrets]
        self._refuse_repeated([(each.key, each.digest) for each in secrets], "secret")
        self._refuse_repeated([(each.key, each.id) for each in clients], "id")
        trusts = [(trust.key, trust.name) for each in found for trust in each.trusts]
        self._refuse_repeated(trusts, "issuer, subject and audience")
        return found

    def _connection(self, given: _Connection, key: str) -> DeclaredConnection:
        mapping = self._path(given.mapping) if given.mapping.endswith(".toml") else given.mapping
        try:
            check_connection(name=given.name, tenant_id=given.tenant_id, mapping=mapping, domain=given.domain)
        except InvalidRecord as exc:
            raise self._error(key, str(exc)) from exc
        return DeclaredConnection(
            key=key,
            name=given.name,
            tenant_id=given.tenant_id,
            mapping=mapping,
            domain=given.domain,
            dialect=self._setting(given.dialect, DialectSettings, f"{key}.dialect"),
            policies=self._setting(given.policies, Policies, f"{key}.policies"),
            tokens=self._tokens(given.tokens, f"{key}.tokens", TOKEN),
            clients=tuple(
                self._client(each, f"{key}.clients[{number}]") for number, each in enumerate(given.clients)
            ),
            trusts=tuple(
                self._trust(each, f"{key}.federation[{number}]")
                for number, each in enumerate(given.federation)
            ),
        )

    def _client(self, given: _Client, key: str) -> DeclaredClient:
        self._refuse_secrets(key, given.id, given.label)
        try:
            check_client_id(given.id)
            check_label(given.label)
        except InvalidRecord as exc:
            raise self._error(key, str(exc)) from exc
        if len(given.secrets) > MAX_SECRETS:
            raise self._error(f"{key}.secrets", f"a client has up to {MAX_SECRETS} secrets")
        secrets = self._tokens(given.secrets, f"{key}.secrets", CLIENT_SECRET)
        return DeclaredClient(key=key, id=given.id, label=given.label, secrets=secrets)

    def _trust(self, given: _Trust, key: str) -> DeclaredTrust:
        fields = msgspec.structs.asdict(given)
        try:
            check_trust(**fields)
        except InvalidRecord as exc:
            raise self._error(key, str(exc)) from exc
        return DeclaredTrust(key=key, **fields)

    def _tokens(self, given: Sequence[_Token], key: str, kind: str) -> tuple[DeclaredToken, ...]:
        tokens = tuple(self._token(each, f"{key}[{number}]", kind) for number, each in enumerate(given))
        self._refuse_repeated([(token.key, token.label) for token in tokens], "label")
        return tokens

    def _token(self, given: _Token, key: str, kind: str) -> DeclaredToken:
        self._refuse_secrets(key, given.label, given.secret_file, given.secret_env)
        if not given.label.strip():
            raise self._error(key, "a label is needed: it is the secret's name")
        if (given.secret_file is None) == (given.secret_env is None):
            raise self._error(key, "name exactly one of secret_file and secret_env")
        try:
            check_label(given.label)
            secret = (
                self._from_file(given, key) if given.secret_env is None else self._from_variable(given, key)
            )
            return DeclaredToken(key=key, label=given.label, digest=given_digest(secret.strip(), kind))
        except InvalidRecord as exc:
            raise self._error(key, f"{given.secret_file or given.secret_env or ''}: {exc}") from exc

    def _from_file(self, given: _Token, key: str) -> str:
        path = self._path(given.secret_file or "")
        try:
            return self._read(Path(path))
        except (OSError, ValueError) as exc:
            # Of a UnicodeDecodeError nothing is shown: it holds what was read.
            reason = exc.strerror if isinstance(exc, OSError) else "not text"
            raise self._error(f"{key}.secret_file", f"{path} cannot be read: {reason}") from None

    def _from_variable(self, given: _Token, key: str) -> str:
        secret = self._environ.get(given.secret_env or "", "")
        if not secret:
            raise self._error(f"{key}.secret_env", f"the variable {given.secret_env} is not set")
        return secret

    def _path(self, text: str) -> str:
        # Not resolve(): where links change with each release, as those of a mounted ConfigMap do, the path
        # behind them does not last.
        return str((self._file.parent / text).absolute())

    def _setting(self, table: dict[str, Any], form: type[_Setting], key: str) -> _Setting:
        # The structs pass over unknown keys, for the database; here a misspelt one has to be found.
        known = [field.encode_name for field in msgspec.structs.fields(form)]
        if unknown := sorted(set(table) - set(known)):
            raise self._error(f"{key}.{unknown[0]}", f"unknown key; there are {', '.join(known)}")
        return self._converted(table, form, key)

    def _converted(self, data: Any, form: type[_Setting], key: str = "") -> _Setting:
        try:
            return msgspec.convert(data, type=form)
        except msgspec.ValidationError as exc:
            reason, _, where = str(exc).partition(" - at ")
            place = f"{key}{where.strip('`').removeprefix('$')}".lstrip(".")
            raise self._error(place, reason) from exc

    def _refuse_secrets(self, key: str, *texts: str | None) -> None:
        if any(begin in (text or "") for begin in _SECRETS_BEGIN for text in texts):
            raise self._error(key, "a secret does not belong here: name the file or the variable that has it")

    def _refuse_repeated(self, entries: Sequence[tuple[str, object]], what: str) -> None:
        seen: dict[object, str] = {}
        for key, value in entries:
            if value in seen:
                raise self._error(key, f"has the same {what} as {seen[value]}")
            seen[value] = key

    def _error(self, key: str, reason: str) -> DeclarationError:
        return DeclarationError(self._file, key, reason)
