"""The switches of the embedded platform: what its document leaves open, or what platforms do differently."""

from __future__ import annotations

from msgspec import Struct

from app.embedded.schemas import IdentitySource, UserStatus


class PlatformSettings(Struct, frozen=True, kw_only=True):
    """How one embedded platform behaves; every field has a usable default."""

    initial_status: UserStatus = UserStatus.ACTIVE
    """Status of a newly created user."""

    identity_source: IdentitySource = IdentitySource.LOCAL
    """Identity source of a newly created user."""

    keep_deleted_names_taken: bool = False
    """Whether a soft-deleted user keeps its email and username from being used again."""

    merge_custom_attributes: bool = False
    """Whether PATCH merges `custom_attributes` by key (null removes one) instead of replacing them whole."""

    groups_need_include: bool = False
    """Whether a tenant's GET of a user fills `groups` only when asked with `include=groups`."""

    direct_reset_method: str = "DIRECT"
    """The `method` of a password reset that applies `new_password` instead of sending a mail."""

    password_min_length: int = 8
    """Fewest characters a password may have."""

    per_page_max: int = 100
    """Largest `per_page` of a list; a larger one is refused with 422."""

    members_per_call_max: int = 100
    """Most user ids one call may add to a group."""

    token_ttl_s: int = 3600
    """Seconds an access token is valid."""

    issuer: str = "urn:scim-bridge:embedded-platform"
    """`iss` of the access tokens."""

    audience: str = "platform-api"
    """`aud` of the access tokens."""

    token_cache_size: int = 4096
    """How many verified access tokens are remembered, so that a signature is checked once a token."""

    max_body_bytes: int = 1_000_000
    """Largest request body in bytes; a larger one is refused with 413."""

    busy_timeout_s: float = 30.0
    """Seconds a write waits for another process that holds the database."""

    readers: int = 4
    """How many database connections read in parallel."""

    webhook_concurrency: int = 8
    """Events under way to one webhook endpoint at a time; those of one resource go one after the other."""

    webhook_timeout_s: float = 10.0
    """Seconds that one delivery may take in all."""

    webhook_retry_s: float = 1.0
    """A delivery that failed is repeated within this time, and each further one within twice the time before;
    the wait is random within it."""

    webhook_retry_max_s: float = 60.0
    """Longest wait before a delivery is repeated."""

    webhook_max_age_s: float = 24 * 3600.0
    """Age of an event, in seconds, at which a delivery that fails is given up."""

    webhook_poll_s: float = 1.0
    """Seconds between looks for webhooks and events that another process wrote."""
