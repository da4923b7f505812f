"""What a close writes, and how it is cut into parts small enough for a single-threaded server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from streams.detect.contribution import Contribution, Position
from streams.detect.totals import pair_scores
from streams.state.keys import Keys
from streams.state.session import pack, raw

__all__ = ["Chunk", "CloseResult", "EvidenceRow", "decode_member", "evidence_keys", "pairs_of", "split"]

CHUNK_WRITES = 1000  # keys in one script; 100,000 pairs in one blocked the server for a second
CHUNK_BYTES = 1 << 20

_POSITION = 24  # characters of a position in Redis
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[int, str | None, str | None]).decode


@dataclass(frozen=True)
class CloseResult:
    """What the pure close made of a bucket. Blobs are opaque to the store.

    `drugs`: alarm state of each drug that changed. `aggregate`: of the bucket's counted cases. `cases`: those cases,
    for the evidence. `new_drugs`, `new_events`: names that get the next indices, in order. `alerts`: (id, record) of
    those raised or updated. `chain`: hash of the history so far. `memo`: whatever else the next close needs.
    `followups`: later versions of cases that took effect with it, those that a rule asks about.
    """

    drugs: dict[str, bytes]
    aggregate: bytes
    cases: Sequence[Contribution]
    new_drugs: Sequence[str]
    new_events: Sequence[str]
    alerts: Sequence[tuple[str, bytes]]
    chain: str
    memo: bytes = b""
    followups: Sequence[Contribution] = ()


@dataclass
class Chunk:
    """One part: keys (by number from 1), [number, blob, ...] of drugs and [number, member, ...] lists of evidence."""

    token: str
    keys: list[str] = field(default_factory=list)
    aggregate: bytes = b""
    drugs: list[int | bytes] = field(default_factory=list)
    evidence: list[list[int | bytes]] = field(default_factory=list)
    size: int = 0

    def packed(self) -> bytes:
        """The last argument of chunk.lua."""
        lists = [self.drugs, *self.evidence]
        drugs, *evidence = ([raw(x) if isinstance(x, bytes) else x for x in part] for part in lists)
        return pack((raw(self.aggregate), drugs, evidence))


class EvidenceRow(NamedTuple):
    """A counted case of a pair: its bucket, its contribution, the pair's score in micro, the words if read in text."""

    bucket: int
    contribution: Contribution
    micro: int
    drug_words: str | None
    event_words: str | None


def pairs_of(case: Contribution) -> Iterator[tuple[str, str, int, str | None, str | None]]:
    """(drug, event, micro, words of the drug, of the event) of every pair of a case, as the totals count it."""
    words: dict[tuple[str, str], tuple[int, str | None, str | None]] = {}
    for drug_index, event_index, micro, drug_words, event_words in case.pairs or ():
        pair = (case.drugs[drug_index], case.events[event_index])
        if pair not in words or micro > words[pair][0]:
            words[pair] = (micro, drug_words, event_words)
    for drug, event, micro in pair_scores(case):
        _, drug_words, event_words = words.get((drug, event), (0, None, None))
        yield drug, event, micro, drug_words, event_words


def evidence_keys(keys: Keys, cases: Iterable[Contribution]) -> set[str]:
    """Keys that hold evidence from `cases`."""
    return {keys.evidence(drug, event) for case in cases for drug, event, *_ in pairs_of(case)}


def decode_member(member: bytes) -> tuple[str, int, str | None, str | None]:
    """(position, micro, words of the drug, of the event) of a member of an evidence set."""
    return member[:_POSITION].decode(), *_unpack(member[_POSITION:])


def split(keys: Keys, position: Callable[[Position], str], bucket: int, result: CloseResult) -> list[Chunk]:
    """Cut `result` into chunks. The cut follows from the result alone, so two workers' chunks are the same."""
    members: dict[str, list[bytes]] = {}
    for case in result.cases:
        at = position(case.position).encode()
        for drug, event, *rest in pairs_of(case):
            members.setdefault(keys.evidence(drug, event), []).append(at + _pack(rest))

    chunks: list[Chunk] = []

    def room() -> Chunk:
        if not chunks or len(chunks[-1].keys) >= CHUNK_WRITES or chunks[-1].size >= CHUNK_BYTES:
            chunks.append(Chunk(f"{bucket}:{CHUNK_WRITES}:{CHUNK_BYTES}:{len(chunks)}"))
        return chunks[-1]

    first = room()
    first.aggregate, first.size = result.aggregate, len(result.aggregate)
    for drug, blob in sorted(result.drugs.items()):
        chunk = room()
        chunk.keys.append(keys.drug(drug))
        chunk.drugs += [len(chunk.keys), blob]
        chunk.size += len(blob)
    for key, added in sorted(members.items()):
        for start in range(0, len(added), CHUNK_WRITES):
            part = added[start : start + CHUNK_WRITES]
            chunk = room()
            chunk.keys.append(key)
            chunk.evidence.append([len(chunk.keys), *part])
            chunk.size += sum(map(len, part))
    return chunks
