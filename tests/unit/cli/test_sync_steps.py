"""What a client of `bench sync` sends next, given the answers."""

from __future__ import annotations

from typing import Any

import pytest

from app.cli.bench.forms import FORMS, MEMBERS_PER_PATCH
from app.cli.bench.messages import Answer, Refused, Request, Steps
from app.cli.bench.population import WORK_EMAIL, Change, Group, Plan, User, changes_of, population, rotate
from app.cli.bench.steps import Findings, remove, sync_group, sync_user

CLIENTS = ["entra", "okta"]
Script = list[tuple[str, Answer | int | None]]
"""Kinds of requests with what answers each; of a refusal its status, None where no answer came."""


def answer(body: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status=status, body=body)


def shown(user: User, **changed: Any) -> dict[str, Any]:
    """The resource that a right server shows of a new user."""
    known = user.known
    return {
        "id": f"id-{user.number}",
        "userName": user.name,
        "externalId": known["externalId"],
        "displayName": known["displayName"],
        "name": {"givenName": known["name.givenName"], "familyName": known["name.familyName"]},
        "emails": [{"type": "home", "value": "h@example.com"}, {"type": "work", "value": known[WORK_EMAIL]}],
        "active": known["active"],
        **changed,
    }


def listed(*resources: dict[str, Any]) -> Answer:
    return answer({"totalResults": len(resources), "Resources": list(resources)})


def play(steps: Steps, script: Script) -> list[Request]:
    """Answer as scripted; the requests. The steps must ask for exactly what the script holds."""
    sent: list[Request] = []
    rest = list(script)
    try:
        request = next(steps)
        while True:
            sent.append(request)
            assert rest, f"not in the script: {request}"
            kind, reply = rest.pop(0)
            assert request.kind == kind
            if isinstance(reply, Answer):
                request = steps.send(reply)
            else:
                request = steps.throw(Refused(request, reply, "d"))
    except (StopIteration, Refused):
        assert rest == []
    return sent


def one(users: int = 1, **plan: int) -> tuple[User, list[Group], list[User]]:
    everybody, groups = population(Plan(prefix="p-1", users=users, **plan))
    return everybody[0], groups, everybody


def made(client: str, user: User, findings: Findings) -> None:
    script: Script = [
        ("match user", listed()),
        ("create user", answer(shown(user), 201)),
        ("read back", answer(shown(user))),
    ]
    play(sync_user(FORMS[client], findings, user), script)
    assert findings.differences == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_first_sync_and_a_deletion(client: str) -> None:
    user, _, _ = one()
    findings = Findings()
    made(client, user, findings)
    assert user.id == "id-0"
    sent = play(
        remove(FORMS[client], findings, user),
        [("delete user", answer({}, 204)), ("read deleted", answer({}, 404))],
    )
    assert [(r.method, r.target) for r in sent] == [("DELETE", "/Users/id-0"), ("GET", "/Users/id-0")]
    assert (user.id, user.tried, findings.own) == (None, False, {})


@pytest.mark.parametrize(
    ("changed", "attribute", "found"),
    [
        ({"active": False}, "active", "false"),
        ({"active": "true"}, "active", "true"),
        ({"displayName": None}, "displayName", "nothing"),
        ({"emails": "x"}, WORK_EMAIL, "nothing"),
        ({"name": []}, "name.givenName", "nothing"),
        ({"externalId": "E"}, "externalId", "E"),
        ({"id": "other"}, "id", "other"),
    ],
)
def test_what_is_read_back_is_compared(changed: dict[str, Any], attribute: str, found: str) -> None:
    user, _, _ = one()
    findings = Findings()
    script: Script = [
        ("match user", listed()),
        ("create user", answer(shown(user), 201)),
        ("read back", answer(shown(user, **changed))),
    ]
    play(sync_user(FORMS["okta"], findings, user), script)
    first = findings.differences[0]
    assert (first.name, first.seen_in, first.attribute, first.found) == (
        user.name,
        "read back",
        attribute,
        found,
    )


@pytest.mark.parametrize(
    "body", [{}, {"id": "7", "userName": "else@example.com"}, {"id": 7}, {"id": ".."}, {"id": ""}]
)
def test_only_an_answer_that_bears_the_name_is_taken(body: dict[str, Any]) -> None:
    user, _, _ = one()
    findings = Findings()
    body = {"userName": user.name, **body} if "id" in body else body
    play(
        sync_user(FORMS["okta"], findings, user),
        [("match user", listed()), ("create user", answer(body, 201))],
    )
    assert user.id is None
    assert findings.own == {}
    assert findings.differences_in_all == 1
    # It may exist all the same, and is looked for by its name, which a user of somebody else does not have.
    other = {"id": "7", "userName": "else@example.com"}
    play(remove(FORMS["okta"], findings, user), [("match user", listed(other))])
    assert user.tried is False


def test_an_id_belongs_to_one_user() -> None:
    _, _, (first, second) = one(users=2)
    findings = Findings()
    made("okta", first, findings)
    same = answer(shown(second, id=first.id), 201)
    play(sync_user(FORMS["okta"], findings, second), [("match user", listed()), ("create user", same)])
    assert second.id is None
    assert findings.differences[0].found == f"that of {first.name}"


def test_a_hit_before_anything_was_made_is_wrong() -> None:
    user, _, _ = one()
    findings = Findings()
    stranger = {"id": "x", "userName": user.name}
    script: Script = [("match user", listed(stranger)), ("create user", 409)]
    play(sync_user(FORMS["entra"], findings, user), script)
    assert user.id is None
    assert findings.differences[0].attribute == "totalResults"


@pytest.mark.parametrize("status", [None, 500, 409])
def test_a_user_whose_creation_is_in_doubt_is_found_again(status: int | None) -> None:
    user, _, _ = one()
    findings = Findings()
    right = shown(user)
    play(sync_user(FORMS["okta"], findings, user), [("match user", listed()), ("create user", status)])
    assert user.tried
    play(
        sync_user(FORMS["okta"], findings, user),
        [("match user", listed(right)), ("read back", answer(right))],
    )
    assert user.id == "id-0"
    assert not user.in_doubt
    assert findings.differences == []


def test_a_refused_creation_made_nothing() -> None:
    user, _, _ = one()
    play(sync_user(FORMS["okta"], Findings(), user), [("match user", listed()), ("create user", 400)])
    assert not user.tried


def test_a_change_in_doubt_is_read_before_it_is_compared() -> None:
    user, _, _ = one()
    findings = Findings()
    made("entra", user, findings)
    off = shown(user, active=False)
    on = shown(user)
    leave = Change(kind="deactivate", values={"active": False})
    right = listed(on)
    play(sync_user(FORMS["entra"], findings, user, leave), [("match user", right), ("deactivate", None)])
    assert user.in_doubt
    play(sync_user(FORMS["entra"], findings, user), [("match user", listed(off)), ("read back", answer(off))])
    assert user.known["active"] is False
    assert findings.differences == []
    play(sync_user(FORMS["entra"], findings, user), [("match user", right)])
    assert findings.differences[0].attribute == "active"


def test_okta_puts_what_it_has_read() -> None:
    user, _, _ = one()
    findings = Findings()
    made("okta", user, findings)
    right = shown(user, nickName="kept")
    rename = Change(kind="rename", values={"name.familyName": "New"})
    after = {**right, "name": {**right["name"], "familyName": "New"}}
    sent = play(
        sync_user(FORMS["okta"], findings, user, rename),
        [
            ("match user", listed(right)),
            ("read user", answer(right)),
            ("rename", answer(after)),
            ("read back", answer(after)),
        ],
    )
    assert (sent[2].method, sent[2].body) == ("PUT", after)
    assert findings.differences == []


def test_entra_writes_words_and_paths() -> None:
    user, _, _ = one()
    user.id = "a/b"
    request = FORMS["entra"].change(user, Change(kind="d", values={"active": False, WORK_EMAIL: "n@x"}), {})
    assert request.body is not None
    assert (request.method, request.target) == ("PATCH", "/Users/a%2Fb")
    assert request.body["Operations"] == [
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "n@x"},
    ]
    assert FORMS["entra"].match(user).target == "/Users?filter=userName+eq+%22p-1-000000%40example.com%22"
    assert FORMS["okta"].match(user).target.startswith("/Users?filter=userName%20eq%20%22p-1-000000%40")


@pytest.mark.parametrize("client", CLIENTS)
def test_members_are_pushed_in_batches(client: str) -> None:
    size = MEMBERS_PER_PATCH + 1
    _, [group], users = one(users=2 * size, groups=1, members=size)
    for user in users:
        user.id = f"u{user.number}"
    group.id = "g"
    requests = FORMS[client].members(group, [f"u{n}" for n in range(size)], users[size:])
    operations = [r.body["Operations"] for r in requests if r.body]
    added = [m["value"] for ops in operations for op in ops if op["op"].lower() == "add" for m in op["value"]]
    assert added == [f"u{n}" for n in range(size, 2 * size)]
    assert len(requests) == 4
    removed = [op for ops in operations for op in ops if op["op"].lower() == "remove"]
    assert len(removed) == (size if client == "okta" else 2)


@pytest.mark.parametrize(
    ("members", "found"),
    [
        (["id-0"], "1: 1 missing, 0 not wanted"),
        (["id-0", "id-1", "x"], "3: 0 missing, 1 not wanted"),
        (["id-0", "id-1", "id-1"], "1 twice"),
    ],
)
def test_members_are_compared(members: list[str], found: str) -> None:
    _, [group], users = one(users=2, groups=1, members=2)
    for user in users:
        user.id = f"id-{user.number}"
    findings = Findings()
    there = {"id": "g", "displayName": group.name}
    script: Script = [
        ("match group", listed()),
        ("create group", answer(there, 201)),
        ("change members", answer({}, 204)),
        ("read back", answer({**there, "members": [{"value": m} for m in members]})),
    ]
    play(sync_group(FORMS["entra"], findings, group), script)
    assert [d.found for d in findings.differences] == [found]


def test_a_group_in_doubt_is_read_and_set_right() -> None:
    _, [group], users = one(users=2, groups=1, members=2)
    for user in users:
        user.id = f"id-{user.number}"
    findings = Findings()
    there = {"id": "g", "displayName": group.name}
    half = {**there, "members": [{"value": "id-1"}]}
    whole = {**there, "members": [{"value": "id-1"}, {"value": "id-0"}]}
    script: Script = [
        ("match group", listed()),
        ("create group", answer(there, 201)),
        ("change members", 503),
    ]
    play(sync_group(FORMS["entra"], findings, group), script)
    script = [
        ("match group", listed(there)),
        ("read group", answer(half)),
        ("change members", answer({}, 204)),
        ("read back", answer(whole)),
    ]
    sent = play(sync_group(FORMS["entra"], findings, group, changing=False), script)
    assert sent[2].body is not None
    assert sent[2].body["Operations"][0]["value"] == [{"$ref": None, "value": "id-0"}]
    assert findings.differences == []
    play(sync_group(FORMS["entra"], findings, group, changing=False), [("match group", listed(there))])


def test_nothing_else_is_written_to() -> None:
    user, _, _ = one()
    findings = Findings()
    made("okta", user, findings)
    findings.guard(Request(kind="k", method="DELETE", target="/Users/id-0"))
    findings.guard(Request(kind="k", method="GET", target="/Users/id-1"))
    for method in ("DELETE", "PATCH", "PUT"):
        with pytest.raises(RuntimeError):
            findings.guard(Request(kind="k", method=method, target="/Users/id-1?x=y"))


def test_cycles_change_everybody_in_turn_and_bring_leavers_back() -> None:
    _, _, users = one(users=40)
    first = changes_of(users, 1)
    assert [(n, c.kind) for n, c in first.items()] == [
        (0, "rename"),
        (1, "change e-mail"),
        (2, "deactivate"),
        (3, "rename"),
    ]
    users[2].known["active"] = False
    second = changes_of(users, 2)
    assert second[2].values == {"active": True}
    assert sorted(second) == [2, 4, 5, 6, 7]
    assert {n for cycle in range(1, 11) for n in changes_of(users, cycle)} == set(range(40))
    assert changes_of(users[:1], 5)[0].kind == "rename"


@pytest.mark.parametrize(("users", "members", "sizes"), [(30, 20, [20, 20]), (10, 10, [9, 9])])
def test_groups_rotate_their_members(users: int, members: int, sizes: list[int]) -> None:
    _, groups, everybody = one(users=users, groups=2, members=members)
    for cycle, size in enumerate(sizes, 1):
        before = {g.number: {u.number for u in g.wanted} for g in groups}
        [group] = rotate(groups[:1], everybody, cycle)
        after = {u.number for u in group.wanted}
        assert len(group.wanted) == len(after) == size
        assert after != before[group.number]
