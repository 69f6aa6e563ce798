"""Use cases: what a SCIM request does, in terms of plans and platform calls."""
