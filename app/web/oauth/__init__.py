"""`/oauth/token`: access tokens for the clients of connections (RFC 6749 §4.4, RFC 7523 §2.2)."""

PATH = "/oauth"


def is_oauth(path: str) -> bool:
    """Whether a path is answered in the form of RFC 6749 and not of SCIM."""
    return path.startswith(f"{PATH}/")
