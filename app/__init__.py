"""SCIM Bridge: SCIM 2.0 in front of a platform that only has its own Users API."""
