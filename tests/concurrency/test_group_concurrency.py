"""Twenty clients write groups at once: nobody is lost, and some order explains what is there afterwards."""

from __future__ import annotations

import uuid
from collections import Counter

from parallel import CLIENTS, GROUP, Call, Place, check, operation, patch


def test_parallel_members_are_all_kept(place: Place) -> None:
    users = place.users(CLIENTS)
    group = place.group()
    check(place.send(*(patch(group, operation("Add", [u])) for u in users)), 204)
    assert place.members(group) == set(users)


def test_parallel_batches_that_overlap_are_all_kept(place: Place) -> None:
    users = place.users(CLIENTS)
    group = place.group(users[:3])
    batches = [[users[(n + k) % CLIENTS] for k in range(8)] for n in range(CLIENTS)]
    check(place.send(*(patch(group, operation("add", batch)) for batch in batches)), 204)
    assert place.members(group) == set(users)


def test_parallel_removals_take_out_whom_they_name(place: Place) -> None:
    users = place.users(CLIENTS)
    group = place.group(users)
    leaving = users[:15]
    calls = [patch(group, {"op": "remove", "path": f'members[value eq "{u}"]'}) for u in leaving]
    calls += [patch(group, operation("Remove", leaving)) for _ in range(CLIENTS - len(leaving))]
    check(place.send(*calls), 204)
    assert place.members(group) == set(users[15:])


def test_parallel_additions_and_removals_are_explained_by_an_order(place: Place) -> None:
    """Every PATCH adds or removes the same five at once: afterwards all of them are members, or none is."""
    users = place.users(8)
    staying, disputed = users[:3], users[3:]
    for _ in range(3):
        group = place.group([*staying, *disputed[:2]])
        ops = ["add", "remove"] * (CLIENTS // 2)
        check(place.send(*(patch(group, operation(op, disputed)) for op in ops)), 204)
        after = place.members(group)
        assert set(staying) <= after
        assert after - set(staying) in (set(), set(disputed))


def test_parallel_swaps_leave_one_of_a_pair(place: Place) -> None:
    """Every PATCH puts one in and the other out, so exactly one of the two is a member at any time."""
    ann, bob = place.users(2)
    group = place.group([ann])
    calls = []
    for number in range(CLIENTS):
        out, into = (ann, bob) if number % 2 else (bob, ann)
        calls.append(patch(group, operation("remove", [out]), operation("add", [into])))
    check(place.send(*calls), 204)
    assert place.members(group) in ({ann}, {bob})


def test_parallel_replacements_end_in_one_of_them(place: Place) -> None:
    users = place.users(CLIENTS)
    group = place.group(users[:4])
    lists = [[users[(n + k) % CLIENTS] for k in range(5)] for n in range(CLIENTS)]
    check(place.send(*(patch(group, operation("replace", ids)) for ids in lists)), 204)
    assert place.members(group) in [set(ids) for ids in lists]


def test_parallel_puts_end_in_one_of_them(place: Place) -> None:
    users = place.users(CLIENTS)
    group = place.group()
    names = [f"{n} {uuid.uuid4()}" for n in range(CLIENTS)]
    lists = [[users[(n + k) % CLIENTS] for k in range(3)] for n in range(CLIENTS)]
    calls = [
        Call(
            "PUT",
            f"/Groups/{group}",
            {
                "schemas": [GROUP],
                "displayName": name,
                "externalId": name,
                "members": [{"value": i} for i in ids],
            },
        )
        for name, ids in zip(names, lists, strict=True)
    ]
    check(place.send(*calls), 200)
    after = place.one("GET", f"/Groups/{group}").json()
    winner = names.index(after["displayName"])
    assert after["externalId"] == names[winner]
    assert place.members(group) == set(lists[winner])


def test_additions_beside_replacements_are_explained_by_an_order(place: Place) -> None:
    """After the last replacement, only additions that came behind it are there; none is there in part."""
    users = place.users(12)
    group = place.group()
    wanted, pairs = users[:4], [users[4:6], users[6:8], users[8:10], users[10:12]]
    calls = [patch(group, operation("replace", wanted)) for _ in range(8)]
    calls += [patch(group, operation("add", pairs[n % 4])) for n in range(12)]
    check(place.send(*calls), 204)
    after = place.members(group)
    assert set(wanted) <= after
    for pair in pairs:
        assert len(after & set(pair)) in (0, 2)


def test_renames_beside_additions_lose_neither(place: Place) -> None:
    users = place.users(CLIENTS // 2)
    group = place.group()
    names = [str(uuid.uuid4()) for _ in users]
    calls = [patch(group, operation("add", [u])) for u in users]
    calls += [patch(group, {"op": "replace", "value": {"id": group, "displayName": n}}) for n in names]
    check(place.send(*calls), 204)
    assert place.members(group) == set(users)
    assert place.one("GET", f"/Groups/{group}").json()["displayName"] in names


def test_of_parallel_changes_of_one_version_one_is_made(place: Place) -> None:
    users = place.users(10)
    group = place.group()
    version = place.one("GET", f"/Groups/{group}").headers["etag"]
    calls = [patch(group, operation("add", [u]))._replace(if_match=version) for u in users]
    answers = place.send(*calls)
    assert Counter(a.status_code for a in answers) == {204: 1, 412: len(users) - 1}
    winner = next(u for u, a in zip(users, answers, strict=True) if a.status_code == 204)
    assert place.members(group) == {winner}


def test_parallel_creations_make_one_group(place: Place) -> None:
    name = f"Only one {uuid.uuid4()}"
    names = [name.upper() if n % 2 else name for n in range(CLIENTS)]
    answers = place.send(*(Call("POST", "/Groups", {"schemas": [GROUP], "displayName": n}) for n in names))
    assert Counter(a.status_code for a in answers) == {201: 1, 409: CLIENTS - 1}
    assert {a.json()["scimType"] for a in answers if a.status_code == 409} == {"uniqueness"}
    found = place.one("GET", f'/Groups?filter=displayName eq "{name}"').json()
    assert found["totalResults"] == 1


def test_parallel_renames_to_one_name_give_it_once(place: Place) -> None:
    groups = [place.group() for _ in range(6)]
    name = f"Wanted {uuid.uuid4()}"
    answers = place.send(*(patch(g, {"op": "replace", "path": "displayName", "value": name}) for g in groups))
    assert Counter(a.status_code for a in answers) == {204: 1, 409: len(groups) - 1}


def test_deletions_beside_additions_leave_nothing(place: Place) -> None:
    users = place.users(10)
    group = place.group()
    calls = [patch(group, operation("add", [u])) for u in users]
    calls += [Call("DELETE", f"/Groups/{group}")] * 10
    answers = place.send(*calls)
    check(answers[:10], 204, 404)
    assert Counter(a.status_code for a in answers[10:]) == {204: 1, 404: 9}
    assert place.one("GET", f"/Groups/{group}").status_code == 404
    shown = place.send(*(Call("GET", f"/Users/{u}") for u in users))
    assert not [a.json()["groups"] for a in shown if "groups" in a.json()]


def test_users_deleted_beside_additions_are_no_members(place: Place) -> None:
    users = place.users(CLIENTS // 2)
    group = place.group()
    calls = [Call("DELETE", f"/Users/{u}") for u in users]
    calls += [patch(group, operation("add", [u])) for u in users]
    answers = place.send(*calls)
    check(answers[: len(users)], 204)
    check(answers[len(users) :], 204, 400)
    assert place.members(group) == set()
