"""`scim-bridge bench`: an identity provider's work, played against a SCIM server.

- `messages`: requests and answers, without a transport.
- `population`: the users and groups that a run makes, and what is known of them.
- `forms`: how one identity provider writes each request.
- `steps`: what a client sends next, given the answers so far. Pure, like the modules above.
- `figures`: what is counted, and the report made of it. Pure too.
- `session`: sends requests; the only module here that knows HTTP.
- `sync`: the phases of a run, and the clean-up.
- `command`, `showing`: the command line, progress and tables.
"""
