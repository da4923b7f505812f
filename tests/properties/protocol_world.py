"""A whole vigilia in one process, a step at a time: assess and detect workers, a real Redis, logs in lists.

Everything that decides is the project's own: sequencer, chain, placing, Lua scripts on a real server, the store, the
publisher. What is simulated is the world: messages arrive, workers crash between any two steps, partitions move while
their old owners go on, deliveries fail, Redis is emptied or set back. A schedule is a list of step names; the same
names on the same plan give the same run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from protocol_close import Made, Memory, an_alert, decode_total, shown
from protocol_oracle import ALARM, DISORDER, END, HORIZON, WIDTH, WINDOW, Said, accepted, from_sources, meaning

import streams.alerts.publisher
import streams.assess.sequencer
import streams.detect.progress
from streams.detect.time import Timing
from streams.errors import StateError
from streams.events import MICRO, Assessment, DeadLetter, decode_alert, encode
from streams.state.bound import Closing
from streams.state.store import Applied, Store, StoreSettings

TIMING = Timing(WIDTH, DISORDER)
Source = tuple[str, int]
TOPICS, PARTITIONS = ("E", "N"), (0, 1)
ROSTER = tuple((t, p) for t in TOPICS for p in PARTITIONS)
BUDGET = {
    "assess crash": 2, "detect crash": 3, "assess moves": 3, "detect moves": 3, "redis": 5, "snapshot": 4, "tick": 4,
    "fail": 1, "deleted": 1, "provisional": 12,
}  # fmt: skip


@dataclass
class Parts:
    """The code under test; a test puts a broken one in place of one of them."""

    sequencer: Any = streams.assess.sequencer.Sequencer
    advance: Any = streams.detect.progress.advance
    publisher: Any = streams.alerts.publisher.Publisher
    scripts: dict[str, str] | None = None


def random_plan(r: random.Random) -> dict[Source, list[Said]]:
    """A source log for each partition: late, out-of-order and duplicate cases, follow-ups; unreadable: time < 0."""
    n, busy = r.choice((3, 3, 7, 12)), r.random() < 0.6
    pace, cases = r.choice(((-6, 0, 2, 6, 11), (-9, 3, 8, 12, 17))), r.choice((5, 5, 9))
    plan: dict[Source, list[Said]] = {}
    for topic, partition in ROSTER:
        time, offset = r.choice((0, 5, 12)), r.choice((0, 0, 4))
        plan[topic, partition] = log = []
        for _ in range(max(r.choice((0, 1, n, n, n + 1)), n if busy else 0)):
            time = max(0, time + r.choice(pace))
            offset += r.choice((0, 0, 0, 0, 1))  # holes: transactions, compaction
            print_ = r.choice((None, *"abcdefghi"[: cases + 1]))
            shown = -1 if r.random() < 0.1 else time
            version = r.choice((1, 1, 2))
            log.append(Said(topic, partition, offset, shown, str(r.randrange(cases)), version, print_, r.choice("XY")))
            offset += 1
    return plan


@dataclass
class Assessing:
    """One source partition in an assess worker."""

    sequencer: Any
    position: int
    working: list[Any] = field(default_factory=list)  # tickets and messages that the classifier still has
    outbox: list[Any] = field(default_factory=list)  # released, not delivered yet


@dataclass
class Cursor:
    """One assessments partition in a detect worker."""

    sources: dict[Source, Any] | None = None
    at: int = 0
    batch: list[Any] | None = None


class Detecting:
    """A detect worker: cursors, perhaps a close under way, a publisher."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cursors: dict[int, Cursor] = {}
        self.memory: Memory | None = None
        self.closing: Iterator[str] | None = None
        self.next_step = ""
        self.publisher = world.parts.publisher(world.store)
        self.read = 0  # of the alerts topic
        self.unsent: list[Any] = []
        self.looked = -1  # version of the world at the last look at what to publish


class World:
    """The state of everything and the steps that are possible in it."""

    timing = TIMING
    unit = 1  # milliseconds of one step of the plan's time

    def __init__(self, seed: int, store: Store, parts: Parts, *, nervous: bool = False) -> None:
        """`nervous`: Redis is often set back, also during a close; publishers often pause before they send."""
        self.random = random.Random(seed)
        self.nervous = nervous
        self.store, self.parts = store, parts
        self.plan = self.make_plan(self.random)
        self.arrived = dict.fromkeys(ROSTER, 0)
        self.first = {s: (log[0].offset if log else 0) for s, log in self.plan.items()}
        self.commits: dict[Source, int | None] = dict.fromkeys(ROSTER)
        self.assessments: dict[int, list[Any]] = {p: [] for p in PARTITIONS}
        self.alerts: list[tuple[str, bytes]] = []
        self.budget = BUDGET | ({"redis": 12, "snapshot": 8} if nervous else {})
        self.bad: list[str] = []
        self.trace: list[str] = []
        self.clock = 0
        self.version = 0  # of what publishing depends on
        self.proposed, self.tried = False, -1
        self.snapshots: list[dict[bytes, bytes]] = [{}]
        self.closable: int | None = None  # what Redis would say: only to list steps that do something
        self.next_a = dict.fromkeys(PARTITIONS, 0)
        self.assess: list[dict[Source, Assessing]] = [{}, {}]
        self.assess_owner: dict[Source, int] = {}
        for i, source in enumerate(ROSTER):
            self.give_source(source, i % len(self.assess))
        self.detect = [Detecting(self) for _ in range(self.random.choice((2, 3)))]
        self.detect_owner: dict[int, int] = {}
        for p in PARTITIONS:
            self.give_partition(p, p % len(self.detect))

    def make_plan(self, r: random.Random) -> dict[Source, list[Said]]:
        return random_plan(r)

    # ------------------------------------------------------------ ownership

    def give_source(self, source: Source, worker: int) -> None:
        self.assess_owner[source] = worker
        sequencer = self.parts.sequencer(*source, self.commits[source])
        self.assess[worker][source] = Assessing(sequencer, sequencer.seek)

    def give_partition(self, partition: int, worker: int) -> None:
        self.detect_owner[partition] = worker
        self.detect[worker].cursors[partition] = Cursor()

    # ------------------------------------------------------------ steps

    def look(self) -> None:
        """Redis may be anything now."""
        closing, positions = self.store.closable(), self.store.positions()
        self.closable = closing and closing.bucket
        self.next_a = {p: positions.next.get(p, 0) for p in PARTITIONS}
        self.version += 1

    def steps(self) -> dict[str, Callable[[], object]]:
        found: dict[str, Callable[[], object]] = {}
        for source in ROSTER:
            if self.arrived[source] < len(self.plan[source]):
                found[f"arrive {source[0]}{source[1]}"] = lambda s=source: self.arrive(s)
        for w, owned in enumerate(self.assess):
            for source, a in owned.items():
                self.assess_steps(found, w, source, a)
            if owned:
                self.rare(found, "assess crash", f"assess{w} crash", lambda w=w: self.crash_assess(w))
        for w, d in enumerate(self.detect):
            self.detect_steps(found, w, d)
        if self.budget["redis"] > 0 and len(self.snapshots) < 6:
            self.rare(found, "snapshot", "redis snapshot", lambda: self.snapshots.append(self.dump()))
        for i in range(len(self.snapshots)):
            self.rare(found, "redis", f"redis set back to {i or 'empty'}", lambda i=i: self.restore(self.snapshots[i]))
        return found

    def rare(self, found: dict[str, Any], kind: str, name: str, act: Callable[[], object]) -> None:
        """A fault: allowed a few times in a run. Its name begins with `!`."""
        if self.budget[kind] > 0:
            found["!" + name] = lambda: (self.budget.__setitem__(kind, self.budget[kind] - 1), act())

    def assess_steps(self, found: dict[str, Any], w: int, source: Source, a: Assessing) -> None:
        name = f"assess{w} {{}} {source[0]}{source[1]}"
        waiting = [m for m in self.plan[source][: self.arrived[source]] if m.offset >= a.position]
        if waiting and len(a.working) + len(a.outbox) < 3:
            found[name.format("reads")] = lambda: self.read(source, a, waiting[0])
        for i in range(min(2, len(a.working))):
            found[name.format(f"finishes {i} of")] = lambda i=i: self.finish(a, a.working.pop(i))
        if a.outbox:
            found[name.format("delivers")] = lambda: self.deliver(source, a)
        if len(a.outbox) > 1:
            self.rare(found, "fail", name.format("fails first delivery of"), lambda: self.fail(source, a))
        if a.sequencer.committable > (self.commits[source] or 0) and self.assess_owner[source] == w:
            found[name.format("commits")] = lambda: self.commits.__setitem__(source, a.sequencer.committable)
        if not waiting:
            self.rare(found, "tick", name.format("decides tick of"), lambda: self.tick(a, self.now()))
        if self.assess_owner[source] != w:
            found[name.format("notices loss of")] = lambda: self.assess[w].pop(source)
        else:
            other = (w + 1) % len(self.assess)
            self.rare(found, "assess moves", name.format("loses"), lambda: self.give_source(source, other))
            if waiting and len(waiting) > 1:
                first = waiting[1].offset
                self.rare(found, "deleted", name.format("finds deleted"), lambda: self.delete(source, first))

    def detect_steps(self, found: dict[str, Any], w: int, d: Detecting) -> None:
        for p, cursor in d.cursors.items():
            self.cursor_steps(found, w, p, cursor)
        if d.closing is not None:
            found[f"detect{w} {d.next_step}"] = lambda: self.go_on(d)
        elif self.closable is not None:
            found[f"detect{w} sees closable"] = lambda: self.begin_close(d)
        if d.read < len(self.alerts):
            found[f"detect{w} reads alerts"] = lambda: self.read_alerts(d)
        if d.unsent:
            found[f"detect{w} sends alerts"] = lambda: self.send(d)
        elif d.looked != self.version:
            found[f"detect{w} compares alerts"] = lambda: self.compare(d)
        if self.budget["provisional"] > 0 and self.tried != self.version:
            found[f"detect{w} proposes"] = lambda: self.propose(d)
        self.rare(found, "detect crash", f"detect{w} crash", lambda: self.crash_detect(w))

    def cursor_steps(self, found: dict[str, Any], w: int, p: int, cursor: Cursor) -> None:
        name = f"detect{w} {{}} {p}"
        if cursor.sources is None:
            found[name.format("loads")] = lambda: self.load(cursor, p)
        elif cursor.batch is not None:
            found[name.format("applies")] = lambda: self.apply(cursor, p)
        elif cursor.at < len(self.assessments[p]):
            for n in (1, 3):
                found[name.format(f"polls {n} of")] = lambda n=n: self.poll(cursor, p, n)
        elif cursor.at != self.next_a[p]:
            found[name.format("looks in vain at")] = lambda: self.poll(cursor, p, 0)
        if self.detect_owner[p] != w:
            found[name.format("notices loss of")] = lambda: self.detect[w].cursors.pop(p)
        else:
            other = (w + 1) % len(self.detect)
            self.rare(found, "detect moves", name.format("loses"), lambda: self.give_partition(p, other))

    # ------------------------------------------------------------ assess

    def arrive(self, source: Source) -> None:
        self.clock = max(self.clock, self.plan[source][self.arrived[source]].time)
        self.arrived[source] += 1

    def read(self, source: Source, a: Assessing, message: Said) -> None:
        if a.position < self.first[source]:
            a.sequencer.gap(self.first[source])
            message = next(m for m in self.plan[source] if m.offset >= self.first[source])
        a.working.append((a.sequencer.read(message.offset), message))
        a.position = message.offset + 1

    def finish(self, a: Assessing, work: Any) -> None:
        ticket, m = work
        if m.time < 0:
            record: Any = DeadLetter(m.topic, m.partition, ticket.lo, m.offset, "unreadable")
        else:
            record = self.assessment(ticket, m)
        a.sequencer.submit(ticket, record)
        a.outbox += a.sequencer.release()

    def assessment(self, ticket: Any, m: Said) -> Assessment:
        return Assessment(
            m.topic, m.partition, ticket.lo, m.offset, m.time, m.case, m.version, 0, [m.pair], ["event"], [MICRO], None,
            [m.print] if m.print else [],
        )  # fmt: skip

    def tick(self, a: Assessing, time: int) -> None:
        a.sequencer.tick(time * self.unit)
        a.outbox += a.sequencer.release()

    def now(self) -> int:
        """The clock of a tick: at or somewhat after the latest message anywhere."""
        return self.clock + 6 * (self.budget["tick"] % 3)

    def deliver(self, source: Source, a: Assessing) -> None:
        ticket, record = a.outbox.pop(0)
        self.assessments[source[1]].append(record)
        a.sequencer.delivered(ticket)

    def fail(self, source: Source, a: Assessing) -> None:
        """The first record of the outbox is not delivered, the second is."""
        ticket, record = a.outbox[1]
        self.assessments[source[1]].append(record)
        a.sequencer.delivered(ticket)
        a.outbox.clear()
        a.position = a.sequencer.rewind()
        a.outbox += a.sequencer.release()

    def delete(self, source: Source, first: int) -> None:
        """Kafka's retention takes what lies before `first`, read or not."""
        self.first[source] = max(first, self.first[source])

    def crash_assess(self, w: int) -> None:
        for source in list(self.assess[w]):
            del self.assess[w][source]
            if self.assess_owner[source] == w:
                self.give_source(source, w)

    # ------------------------------------------------------------ detect: apply

    def load(self, cursor: Cursor, p: int) -> None:
        positions = self.store.positions()
        cursor.sources, cursor.at, cursor.batch = dict(positions.sources), positions.next.get(p, 0), None

    def poll(self, cursor: Cursor, p: int, n: int) -> None:
        cursor.batch = self.assessments[p][cursor.at : cursor.at + n]

    def apply(self, cursor: Cursor, p: int) -> None:
        assert cursor.sources is not None
        assert cursor.batch is not None
        step = self.parts.advance(cursor.sources, cursor.batch, self.timing)
        end = cursor.at + len(cursor.batch)
        result = self.store.apply(p, cursor.at, end, step)
        if isinstance(result, Applied):
            cursor.sources.update(step.sources)
            cursor.at, cursor.batch = end, None
            self.closable, self.next_a[p] = result.closable, end
            self.tried = -1
            self.version += self.proposed  # a provisional alert may be settled now
        else:
            cursor.sources = cursor.batch = None

    def crash_detect(self, w: int) -> None:
        self.detect[w] = Detecting(self)
        for p, owner in self.detect_owner.items():
            if owner == w:
                self.give_partition(p, w)

    # ------------------------------------------------------------ detect: close, with a simple alarm rule

    def begin_close(self, d: Detecting) -> None:
        d.closing = self.close(d)
        self.go_on(d)

    def go_on(self, d: Detecting) -> None:
        assert d.closing is not None
        d.next_step = next(d.closing, "")
        if not d.next_step:
            d.closing = None

    def close(self, d: Detecting) -> Iterator[str]:
        """One attempt, with a pause before each round trip."""
        store = self.store
        closing = store.closable()
        if closing is None:
            return
        if d.memory is None or d.memory.closed != closing.closed:
            yield from self.load_memory(d, closing)
        memory = d.memory
        if memory is None:
            return
        yield "reads entries"
        entries = store.entries(closing)
        if entries is None:
            return
        made = Made(closing, memory, entries)
        yield "reads evidence"
        rows = store.evidence(closing.closed, [(pair, "event") for pair in made.totals], closing.bucket - WINDOW)
        yield "reads follow-ups"
        followups = store.followups(closing)
        if rows is None or followups is None:
            return
        made.gather(rows)
        yield "reads versions"
        versions = store.versions(closing, made.named())
        if versions is None:
            return
        made.decide(followups, versions)
        result = made.result()
        chunks = store.chunks(closing, result)
        for i, chunk in enumerate(chunks):
            yield f"writes part {i} of {closing.bucket}"
            if not store.write_chunk(closing, chunk):
                return
        yield f"commits {closing.bucket}"
        committed = store.commit_close(closing, chunks, result)
        self.look()
        d.memory = made.after(result) if committed else None
        if committed:
            yield f"trims after {closing.bucket}"
            store.trim(closing.bucket, limit=2)

    def load_memory(self, d: Detecting, closing: Closing) -> Iterator[str]:
        d.memory = None
        yield "loads alarm state"
        base = self.store.base()
        if base.closed != closing.closed:
            return
        yield "loads terms"
        terms = self.store.terms(base.closed)
        yield "loads totals"
        window = self.store.aggregates(base.closed)
        yield "loads drugs"
        states = None if terms is None else self.store.drug_states(base.closed, terms[0])
        if terms is None or window is None or states is None:
            return
        if None in states.values() or None in window.values():
            self.bad.append(f"the close of {base.closed} is committed, parts of it are not there: {states}, {window}")
            raise Violation
        totals = {drug: decode_total(blob) for drug, blob in states.items() if blob}
        d.memory = Memory(base.closed, totals, {b: msgspec.msgpack.decode(w) for b, w in window.items()}, terms[0])

    def propose(self, d: Detecting) -> None:
        self.tried = self.version
        self.budget["provisional"] -= 1
        if self.look_at_open(d):
            self.proposed = True
            self.version += 1

    def look_at_open(self, _: Detecting) -> int:
        """Propose what the open buckets would raise; how many were taken."""
        base = self.store.base()
        terms = self.store.terms(base.closed)
        states = None if terms is None else self.store.drug_states(base.closed, terms[0])
        if states is None:
            return 0
        totals = {drug: msgspec.msgpack.decode(blob)[0] for drug, blob in states.items() if blob}
        found: dict[str, list[int]] = {}
        for bucket in self.store.open_buckets():
            for case in self.store.changes(bucket, 0).counted.values():
                if case is not None:
                    found.setdefault(case.drugs[0], []).append(bucket)
        proposals = []
        for pair, buckets in sorted(found.items()):
            if totals.get(pair, 0) + len(buckets) >= ALARM:
                alert = an_alert(pair, "provisional", max(buckets), max(buckets), [], {})
                proposals.append((alert.id, alert.bucket, encode(alert)))
        return self.store.propose_provisional(proposals)

    # ------------------------------------------------------------ detect: publish

    def read_alerts(self, d: Detecting) -> None:
        for key, value in self.alerts[d.read :]:
            d.publisher.observe(key, value)
        d.read = len(self.alerts)
        d.looked = -1

    def compare(self, d: Detecting) -> None:
        d.looked = self.version
        d.unsent = d.publisher.prepare()

    def send(self, d: Detecting) -> None:
        self.alerts += [(m.revision.id, m.value) for m in d.unsent]
        d.unsent = []
        self.version += 1

    # ------------------------------------------------------------ Redis

    def dump(self) -> dict[bytes, bytes]:
        client = self.store.client
        names = client.keys("*")
        pipe = client.pipeline(transaction=True)
        for name in names:
            pipe.dump(name)
        return dict(zip(names, pipe.execute(), strict=True))

    def restore(self, snapshot: dict[bytes, bytes]) -> None:
        pipe = self.store.client.pipeline(transaction=True)
        pipe.flushall()
        for name, value in snapshot.items():
            pipe.restore(name, 0, value)
        pipe.execute()
        self.look()

    # ------------------------------------------------------------ runs

    def do(self, name: str, steps: dict[str, Callable[[], object]]) -> None:
        self.trace.append(name)
        try:
            steps[name]()
        except StateError as error:
            self.bad.append(f"{type(error).__name__}: {error}")
            raise Violation from error

    def pick(self, chance: float, *, noticing: bool = True) -> bool:
        """One random step, a fault with probability `chance`. False: nothing is left to do."""
        steps = self.steps()
        faults = sorted(name for name in steps if name.startswith("!"))
        common = sorted(name for name in steps if not name.startswith("!") and (noticing or "notices" not in name))
        if self.nervous:
            faults = [name for name in faults if "redis" in name] or faults
            common = [name for name in common if "sends" not in name or self.random.random() < 0.1] or common
        if faults and self.random.random() < chance:
            self.do(self.random.choice(faults), steps)
        elif common:
            self.do(self.random.choice(common), steps)
        else:
            return False
        return True

    def run(self) -> list[str]:
        """A random schedule to its end; what is wrong then."""
        try:
            for _ in range(self.random.choice((40, 80, 140, 220, 400))):
                # A close takes many steps: it is there that faults find something.
                if not self.pick(0.12 if all(d.closing is None for d in self.detect) else 0.3):
                    break
            for kind in ("assess crash", "assess moves", "tick", "fail", "deleted"):
                self.budget[kind] = 0
            self.settle()
            for source in ROSTER:
                self.do(
                    f"end tick {source[0]}{source[1]}",
                    {f"end tick {source[0]}{source[1]}": lambda s=source: self.end(s)},
                )
            self.settle()
        except Violation:
            return self.bad
        return self.check()

    def replay(self, names: list[str]) -> list[str]:
        """The run of exactly these steps; what is wrong at its end."""
        try:
            for name in names:
                ends = {f"end tick {s[0]}{s[1]}": (lambda s=s: self.end(s)) for s in ROSTER}
                steps = ends if name in ends else self.steps()
                if name not in steps:
                    return [f"step {name!r} is not possible here, but these are: {sorted(steps)}"]
                self.do(name, steps)
        except Violation:
            return self.bad
        return self.check()

    def end(self, source: Source) -> None:
        """The end tick of a bounded replay."""
        a = self.assess[self.assess_owner[source]][source]
        a.sequencer.tick(END * self.unit)
        a.outbox += a.sequencer.release()

    def settle(self) -> None:
        for _ in range(4000):
            if not self.pick(0.05, noticing=False):
                return
        self.bad.append("no end: the system does not come to rest")
        raise Violation

    # ------------------------------------------------------------ judgement

    def check(self) -> list[str]:
        """Compare what is in Redis and on the topics with the meaning of the log, read in two ways."""
        bad = list(self.bad)
        placed, outcomes, marks = [], None, {}
        for p in PARTITIONS:
            some, counted, held = accepted(self.assessments[p])
            placed += some
            outcomes = counted if outcomes is None else outcomes + counted
            marks.update(held)
        assert outcomes is not None
        gone = {s: [(m[1], m[2]) for m in held if m[0] == "gap"] for s, held in marks.items()}
        want = {
            m.position for s, log in self.plan.items() for m in log
            if m.time >= 0 and not any(lo <= m.offset <= hi for lo, hi in gone.get(s, []))
        }  # fmt: skip
        readings = {"assessments": placed, "sources": from_sources(self.plan, marks)}
        for reading, messages in readings.items():
            truth = meaning(messages, outcomes)
            if truth.seen != want:
                bad.append(f"{reading}: lost {sorted(want - truth.seen)}")
            bad += [f"{reading}: {line}" for line in self.differences(truth)]
        return bad

    def differences(self, truth: Any) -> Iterator[str]:
        store = self.store
        base = store.base()
        found = {
            "closed": base.closed, "chain": base.chain, "ordinal": base.ordinal, "counters": store.counters(),
            "window": {b: msgspec.msgpack.decode(w) for b, w in (store.aggregates(base.closed) or {}).items()},
            "terms": (store.terms(base.closed) or [[]])[0], "open": store.open_buckets(),
            "history": {b: [shown(decode_alert(r)) for r in records] for b, records in store.history()},
        }  # fmt: skip
        for name, value in found.items():
            expected = {} if name == "open" else getattr(truth, name)
            if value != expected:
                yield f"{name} is {value}, the log says {expected}"
        view = {key: decode_alert(value) for key, value in self.alerts}
        raised = {key: shown(alert) for key, alert in view.items() if alert.state in ("raised", "updated")}
        if raised != truth.newest:
            yield f"alerts topic ends with {raised}, the log says {truth.newest}"
        for key, alert in view.items():
            if alert.state == "provisional":
                yield f"provisional for ever: {key} of bucket {alert.bucket}"
        yield from self.leftovers(base.closed)

    def leftovers(self, closed: int | None) -> Iterator[str]:
        client, prefix = self.store.client, self.store.keys.prefix
        if closed is None:
            return
        for key in client.keys("*"):
            family, _, number = key.decode().removeprefix(prefix).partition(":")
            if family in ("o", "oc") and int(number) <= closed:
                yield f"{key.decode()} left behind the close of {closed}"


class Violation(Exception):
    """The run is over: something happened that must not."""


SETTINGS = StoreSettings("protocol", "settings", ROSTER, HORIZON, WINDOW)


def world(seed: int, client: Any, parts: Parts | None = None, *, nervous: bool | None = None) -> World:
    """A new world on an emptied Redis; every third is nervous."""
    parts = parts or Parts()
    client.flushall()
    nervous = seed % 3 == 2 if nervous is None else nervous
    return World(seed, Store(client, SETTINGS, parts.scripts), parts, nervous=nervous)
