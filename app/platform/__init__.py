"""The platform's API over HTTP: tokens, calls, retries and the errors they end in."""
