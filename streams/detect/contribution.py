"""What one source message contributes to a bucket if it counts."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from streams.events import Assessment, CaseFacts, Span

__all__ = ["Contribution", "Pair", "Position", "contribution_of", "decode_contribution", "encode_contribution"]

Position = tuple[str, int, int]  # (topic, partition, offset) of a source message
Pair = tuple[int, int, int, str | None, str | None]  # drug index, event index, micro, words of the drug, of the event


class Contribution(Struct, frozen=True, array_like=True, gc=False):
    """One case as the close reads it.

    `drugs` and `events` are sorted and distinct; `scores[i]` is the score of `events[i]` in the case as a whole, in
    micro. `pairs` is None when every drug goes with every event at that score (coded reports), else it lists the pairs
    with their own scores and the words they were read from. `late`: counted in a later bucket than its own. `model`:
    the classifier that read the text, if one did. `facts`: what rules beside the signal ask of a case. `fuzzy`: its
    terms that were matched by likeness.

    The record is positional in Redis: fields are only ever added at the end, with a default.
    """

    position: Position
    received_at: int
    case_id: str
    version: int
    stratum: int
    drugs: tuple[str, ...]
    events: tuple[str, ...]
    scores: tuple[int, ...]
    pairs: tuple[Pair, ...] | None = None
    late: bool = False
    model: str | None = None
    facts: CaseFacts | None = None
    fuzzy: tuple[str, ...] = ()


def contribution_of(assessment: Assessment, *, late: bool) -> Contribution:
    """What `assessment` contributes to the bucket it was placed in."""
    return Contribution(
        position=(assessment.topic, assessment.partition, assessment.offset),
        received_at=assessment.received_at,
        case_id=assessment.case_id,
        version=assessment.version,
        stratum=assessment.stratum,
        drugs=tuple(assessment.drugs),
        events=tuple(assessment.events),
        scores=tuple(assessment.scores),
        pairs=None
        if assessment.pairs is None
        else tuple(_pair(p.drug, p.event, p.micro, p.span) for p in assessment.pairs),
        late=late,
        model=assessment.model,
        facts=assessment.facts,
        fuzzy=tuple(fuzzy.term for fuzzy in assessment.fuzzy),
    )


def _pair(drug: int, event: int, micro: int, span: Span | None) -> Pair:
    return (drug, event, micro, span.drug if span else None, span.effect if span else None)


encode_contribution = msgspec.msgpack.Encoder().encode
decode_contribution = msgspec.msgpack.Decoder(Contribution).decode
