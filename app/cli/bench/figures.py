"""What is counted in a run, and the report made of it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

import msgspec

from app.cli.bench.steps import Difference

NO_ANSWER = "none"
_DETAILS = 3


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Times from request to answer, in milliseconds; waits before a request are not in them."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class KindReport(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one kind."""

    requests: int
    statuses: dict[str, int]
    """Number of answers by status; `none` stands for requests without an answer."""
    latency: Latency


class PhaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the run."""

    name: str
    seconds: float
    requests: int
    per_second: float


class Throttling(msgspec.Struct, frozen=True, kw_only=True):
    """429 answers."""

    answers: int
    repeated: int
    """Requests that were sent again; each of them once for every 429."""
    waited_s: float
    """Seconds in which no request was sent because of them."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Answers that were not as the request expects, alike in kind, status and scimType."""

    kind: str
    status: str
    scim_type: str
    count: int
    details: list[str]
    """The first few that differ."""
    example: str
    """Method and target of the first."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    url: str
    client: str
    prefix: str
    """What every name began with."""
    users: int
    groups: int
    members: int
    cycles: int
    connections: int
    seconds: float
    requests: int
    per_second: float
    latency: Latency
    phases: list[PhaseReport]
    kinds: dict[str, KindReport]
    throttling: Throttling
    failures_in_all: int
    failures: list[Failure]
    differences_in_all: int
    differences: list[Difference]
    """The first hundred."""
    left: list[str]
    """Names of users and groups that are, or may be, still there."""
    kept: bool
    """Whether they are there because that was asked for."""
    interrupted: bool

    @property
    def is_good(self) -> bool:
        """Whether everything was answered, and is as it was written, and cleared up."""
        wrong = self.failures_in_all or self.differences_in_all or self.interrupted
        return not wrong and (self.kept or not self.left)


class Tally:
    """Counts while a run goes on."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures_in_all = 0
        self.throttled = 0
        self.repeated = 0
        self.waited_s = 0.0
        self.phases: list[PhaseReport] = []
        self._times: dict[str, array[float]] = {}
        self._statuses: dict[str, Counter[str]] = {}
        self._failures: dict[tuple[str, str, str], Failure] = {}

    def answered(self, kind: str, status: int | None, seconds: float) -> None:
        """A request was answered, with whatever; `status` is None where no answer came."""
        self.requests += 1
        self._times.setdefault(kind, array("d")).append(seconds * 1e3)
        self._statuses.setdefault(kind, Counter())[_shown(status)] += 1

    def failed(self, kind: str, status: int | None, scim_type: str, detail: str, example: str) -> None:
        """An answer was not as expected; `answered` has counted it before."""
        self.failures_in_all += 1
        key = (kind, _shown(status), scim_type)
        before = self._failures.get(key)
        if before is None:
            self._failures[key] = Failure(
                kind=kind, status=key[1], scim_type=scim_type, count=1, details=[detail], example=example
            )
            return
        details = before.details
        if detail not in details and len(details) < _DETAILS:
            details = [*details, detail]
        self._failures[key] = msgspec.structs.replace(before, count=before.count + 1, details=details)

    def phase(self, name: str, seconds: float, requests: int) -> None:
        """A part of the run is over."""
        self.phases.append(
            PhaseReport(
                name=name, seconds=seconds, requests=requests, per_second=_per_second(requests, seconds)
            )
        )

    def kinds(self) -> dict[str, KindReport]:
        """Figures by kind of request, in the order of their first one."""
        return {
            kind: KindReport(
                requests=len(times),
                statuses=dict(sorted(self._statuses[kind].items())),
                latency=latency(times),
            )
            for kind, times in self._times.items()
        }

    def latency(self) -> Latency:
        """Of all requests."""
        return latency([time for times in self._times.values() for time in times])

    def throttling(self) -> Throttling:
        """What 429 answers came to."""
        return Throttling(answers=self.throttled, repeated=self.repeated, waited_s=self.waited_s)

    def failures(self) -> list[Failure]:
        """The most frequent first."""
        return sorted(self._failures.values(), key=lambda failure: -failure.count)

    def seconds(self) -> float:
        """The whole time of all parts."""
        return sum(phase.seconds for phase in self.phases)

    def per_second(self) -> float:
        """Requests a second over all parts."""
        return _per_second(self.requests, self.seconds())


def latency(times_ms: Sequence[float]) -> Latency:
    """Percentiles by nearest rank: the least time that at least p % of all do not exceed."""
    ordered = sorted(times_ms)
    if not ordered:
        return Latency(p50_ms=0.0, p95_ms=0.0, p99_ms=0.0, max_ms=0.0)
    ranks = [ordered[-(-len(ordered) * percent // 100) - 1] for percent in (50, 95, 99)]
    return Latency(p50_ms=ranks[0], p95_ms=ranks[1], p99_ms=ranks[2], max_ms=ordered[-1])


def _per_second(requests: int, seconds: float) -> float:
    return requests / seconds if seconds > 0 else 0.0


def _shown(status: int | None) -> str:
    return NO_ANSWER if status is None else str(status)
