"""The number in flight on a simulated server: it fills the server, keeps its queue short, and yields to refusals."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batching import Adaptive, Fixed

PIECES = 2048


@dataclass
class Server:
    """`instances` batches at a time, `service` seconds each, more or less; a queue of `room` before it.

    `client` seconds of each call pass outside of it (tokenising, network).
    """

    instances: int
    service: float
    client: float = 0.0
    room: int = 1000
    noise: float = 0.0
    now: float = 0.0
    answered: int = 0
    refused: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(3))
    free_at: list[float] = field(default_factory=list)

    def run(self, limit: Adaptive, seconds: float) -> list[int]:
        """Keep `limit.now` batches in flight for so long; the limit after each answer."""
        end, flying, limits = self.now + seconds, list[tuple[float, float, int, bool]](), list[int]()
        while self.now < end:
            while len(flying) < limit.now:
                heapq.heappush(flying, self._send(len(flying) + 1))
            self.now, started, in_flight, taken = heapq.heappop(flying)
            if taken:
                self.answered += 1
                limit.took(started, self.now, PIECES, in_flight)
            else:
                self.refused += 1
                limit.refused(started, self.now)
            limits.append(limit.now)
        return limits

    def _send(self, in_flight: int) -> tuple[float, float, int, bool]:
        arrives = self.now + self.client
        self.free_at = [at for at in self.free_at if at > arrives]
        if len(self.free_at) >= self.instances + self.room:
            return arrives, self.now, in_flight, False
        begins = arrives if len(self.free_at) < self.instances else sorted(self.free_at)[-self.instances]
        done = begins + self.service * (1 + self.noise * self.chance.random())
        self.free_at.append(done)
        return done, self.now, in_flight, True


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.floats(0.01, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 0.3))
def test_it_settles_where_the_server_is_never_idle_and_few_batches_wait(
    instances: int, service: float, client: float, noise: float
) -> None:
    server = Server(instances, service, client * service, noise=noise)
    limit = Adaptive(most=32)
    server.run(limit, 200 * service)
    server.answered, begun = 0, server.now
    limits = server.run(limit, 200 * service)
    most = instances / (service * (1 + noise / 2))  # answers a second of a server that is never idle
    assert server.answered / (server.now - begun) >= 0.88 * most
    useful = instances * (1 + client)  # so many keep it busy, those on their way included
    assert sum(limits) / len(limits) <= useful + 3


def test_a_server_that_gets_more_instances_gets_more_batches_and_fewer_when_it_loses_them() -> None:
    limit = Adaptive(most=32)
    server = Server(2, 0.1)
    server.run(limit, 30)
    few = limit.now
    server.instances = 10
    server.run(limit, 60)
    assert limit.now >= 10 > few
    server.instances = 2
    server.run(limit, 120)
    assert limit.now <= few + 2


def test_a_machine_that_becomes_slower_for_good_is_not_taken_for_a_queue_for_ever() -> None:
    limit = Adaptive(most=32)
    server = Server(4, 0.1)
    server.run(limit, 30)
    server.service = 0.3
    server.run(limit, 120)
    server.answered, begun = 0, server.now
    server.run(limit, 60)
    assert server.answered / (server.now - begun) >= 0.9 * 4 / 0.3


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(0, 6), st.floats(0.0, 0.5))
def test_a_server_with_little_room_is_filled_and_seldom_overrun(instances: int, room: int, client: float) -> None:
    server = Server(instances, 0.1, client * 0.1, room=room)
    limit = Adaptive(most=32)
    server.run(limit, 30)
    server.answered = server.refused = 0
    begun = server.now
    server.run(limit, 60)
    assert server.refused <= 0.2 * server.answered
    assert server.answered / (server.now - begun) >= 0.7 * instances / 0.1 / (1 + client)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.booleans(), st.floats(0, 10), st.floats(0, 10), st.integers(1, 4096), st.integers(1, 40))),
)
def test_whatever_it_is_told_between_one_and_the_most_may_fly(
    most: int, told: list[tuple[bool, float, float, int, int]]
) -> None:
    limit, now = Adaptive(most), 0.0
    for took, since, lasted, pieces, in_flight in told:
        now += since
        limit.took(now - lasted, now, pieces, in_flight) if took else limit.refused(now - lasted, now)
        assert 1 <= limit.now <= most


def test_batches_that_do_not_use_the_number_never_raise_it() -> None:
    limit = Adaptive()
    for n in range(100):
        limit.took(n, n + 0.1, PIECES, in_flight=1)
    assert limit.now == 2  # of which one at a time was used


def test_refusals_of_batches_that_left_together_halve_the_number_once() -> None:
    limit = Adaptive()
    Server(8, 0.1).run(limit, 30)
    before = limit.now
    for n in range(5):
        limit.refused(1000.0, 1001.0 + n)
    assert limit.now == before // 2
    limit.refused(1001.5, 1010.0)  # it left after the first refusal was known
    assert limit.now == before // 4


def test_a_fixed_number_stays() -> None:
    limit = Fixed(3)
    limit.took(0.0, 1.0, PIECES, 3)
    limit.refused(0.0, 1.0)
    assert limit.now == limit.most == 3
