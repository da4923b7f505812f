"""Every name in Redis. All keys of a monitor share one hash slot, so a script is atomic on a cluster too.

Drug, event and case names never appear in a key: `digest` stands for them.

| key | type | holds |
|---|---|---|
| `meta` | hash | settings, schema, `dirty`, `closed`, `ordinal`, `chain`, `memo`, `alert_seq`, `alert_mark` |
| `pos` | hash | `a:<partition>` next assessments offset · `s:<topic>:<partition>` next, latest and floor of a source |
| `count` | hash | outcome -> number of messages |
| `open` | zset | buckets that hold entries and are not closed |
| `n` | hash | bucket -> counted entries, of open buckets |
| `o:<bucket>` | hash | position -> `c` or `d` (counts, duplicate), `l` or `-` (late, in time), packed contribution |
| `oc:<bucket>` | list | positions in the order in which they were added or changed |
| `k` | hash | key -> packed [bucket, smallest position in it, ...]: open buckets and the newest closed one |
| `held` | zset | buckets that have a `kb` or `fb` |
| `kb:<bucket>` | set | keys held in the bucket, to forget them after the horizon |
| `fu` | hash | case key -> packed [bucket, version, position, ...] of versions above 1 |
| `fb:<bucket>` | set | case keys in `fu` for the bucket |
| `cb` | zset | closed buckets of the reference window |
| `w` | hash | bucket -> aggregate of its counted cases |
| `c:<bucket>` | hash | what `o:<bucket>` was when the bucket closed |
| `f:<bucket>` | list | packed later versions of cases that took effect with the close and that a rule asks about |
| `d:<drug>` | hash | bucket -> alarm state of the drug; the largest bucket <= closed is valid |
| `e:<drug>:<event>` | zset | packed [topic, partition, offset, micro, words...] of a counted case, by bucket |
| `td`, `te` | list | drug and event names in the order of their index |
| `cw` | set | chunks of the running close that are written |
| `alerts` | hash | alert id -> `<raised>:<bucket>:<record>`, newest revision |
| `aq` | zset | alert id -> number of its last change |
| `am` | list | recent `<alert_seq>:<alert_mark>`: which histories of changes a publisher may continue |
| `prov` | zset | ids of provisional alerts, by bucket |
| `hb`, `h:<bucket>` | zset, list | closed buckets that raised or updated alerts, and those records |
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

__all__ = ["Keys", "digest"]


@lru_cache(maxsize=65_536)
def digest(name: str) -> str:
    """What stands for a drug or event name in a key: 16 hexadecimal digits."""
    return blake2b(name.encode(), digest_size=8, person=b"vigilia-name").hexdigest()


class Keys:
    """The names of one monitor's keys."""

    def __init__(self, monitor: str) -> None:
        self.prefix = prefix = f"v:{{{monitor}}}:"
        self.meta = f"{prefix}meta"
        self.positions = f"{prefix}pos"
        self.counters = f"{prefix}count"
        self.open = f"{prefix}open"
        self.counted = f"{prefix}n"
        self.keys = f"{prefix}k"
        self.held = f"{prefix}held"
        self.followups = f"{prefix}fu"
        self.closed = f"{prefix}cb"
        self.aggregates = f"{prefix}w"
        self.drugs = f"{prefix}td"
        self.events = f"{prefix}te"
        self.chunks = f"{prefix}cw"
        self.alerts = f"{prefix}alerts"
        self.alert_order = f"{prefix}aq"
        self.alert_marks = f"{prefix}am"
        self.provisional = f"{prefix}prov"
        self.history = f"{prefix}hb"
        # Families: a bucket's number is appended, here or in a script.
        self.entries = f"{prefix}o:"
        self.changes = f"{prefix}oc:"
        self.held_keys = f"{prefix}kb:"
        self.held_cases = f"{prefix}fb:"
        self.cases = f"{prefix}c:"
        self.followed = f"{prefix}f:"
        self.alarms = f"{prefix}h:"

    def for_apply(self) -> list[str]:
        """KEYS of apply.lua."""
        fixed = [
            self.meta,
            self.positions,
            self.counters,
            self.open,
            self.counted,
            self.keys,
            self.held,
            self.followups,
        ]
        return [*fixed, self.entries, self.changes, self.held_keys, self.held_cases]

    def for_commit(self) -> list[str]:
        """KEYS of commit.lua."""
        state = [self.meta, self.positions, self.open, self.counted, self.drugs, self.events, self.chunks, self.closed]
        alerts = [self.alerts, self.alert_order, self.alert_marks, self.provisional, self.history]
        return [*state, *alerts, self.entries, self.changes, self.cases, self.followed, self.alarms]

    def drug(self, drug: str) -> str:
        """Alarm state of a drug."""
        return f"{self.prefix}d:{digest(drug)}"

    def evidence(self, drug: str, event: str) -> str:
        """Cases of a pair."""
        return f"{self.prefix}e:{digest(drug)}:{digest(event)}"

    @staticmethod
    def partition(partition: int) -> str:
        """Field of `pos` for an assessments partition."""
        return f"a:{partition}"

    @staticmethod
    def source(topic: int, partition: int) -> str:
        """Field of `pos` for a source partition; `topic` is its index among the monitor's sorted topics."""
        return f"s:{topic}:{partition}"
