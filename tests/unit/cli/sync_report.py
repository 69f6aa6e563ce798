"""The report of a run of `bench sync` that went well."""

from __future__ import annotations

from app.cli.bench.figures import Report, Throttling, latency

GOOD = Report(
    url="https://scim.example.com",
    client="okta",
    prefix="p",
    users=1,
    groups=0,
    members=0,
    cycles=0,
    connections=1,
    seconds=1.0,
    requests=1,
    per_second=1.0,
    latency=latency([1.0]),
    phases=[],
    kinds={},
    throttling=Throttling(answers=3, repeated=3, waited_s=9.0),
    failures_in_all=0,
    failures=[],
    differences_in_all=0,
    differences=[],
    left=[],
    kept=False,
    interrupted=False,
)
