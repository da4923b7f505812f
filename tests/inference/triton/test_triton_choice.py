"""Which server gets the next request."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from inference.triton.choice import least_loaded


@dataclass(eq=False)
class Server:
    usable: bool = True
    in_flight: int = 0
    given: int = 0


servers = st.lists(st.builds(Server, st.booleans(), st.integers(0, 3), st.integers(0, 3)), max_size=6)


@given(servers, st.integers(0, 5))
def test_it_is_usable_and_no_usable_one_has_less_to_do(some: list[Server], place: int) -> None:
    but = some[place] if place < len(some) else None
    found = least_loaded(some, but)
    usable = [server for server in some if server.usable]
    others = [server for server in usable if server is not but]
    if found is None:
        assert not usable
    else:
        assert found in (others or usable)
        assert found.in_flight == min(server.in_flight for server in others or usable)


@given(st.integers(1, 5), st.lists(st.integers(1, 1000), max_size=60))
def test_no_server_ever_has_more_than_the_largest_request_more_than_another(count: int, pieces: list[int]) -> None:
    """The classic bound of greedy balancing: whoever gets a request had the least before it."""
    some = [Server() for _ in range(count)]
    for size in pieces:
        found = least_loaded(some)
        assert found is not None
        found.in_flight += size
        found.given += size
    loads = [server.in_flight for server in some]
    assert max(loads) - min(loads) <= max(pieces, default=0)


def test_idle_servers_take_turns() -> None:
    some = [Server(), Server(), Server()]
    order = []
    for _ in range(6):
        found = least_loaded(some)
        assert found is not None
        found.given += 8
        order.append(some.index(found))
    assert order == [0, 1, 2, 0, 1, 2]
