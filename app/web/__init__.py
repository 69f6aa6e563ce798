"""The SCIM endpoints over HTTP: Litestar handlers that read requests and write answers, nothing more."""
