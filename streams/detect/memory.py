"""The detector's small state: what it must know beyond windows and drugs. One blob, written by the commit itself."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from streams.detect.alarms import Alerted, PairKey
from streams.detect.shares import Blocks
from streams.errors import SchemaTooNew
from streams.events import Level
from streams.signals.gps import Prior

__all__ = ["Memory", "decode_memory", "encode_memory"]

LAYOUT = 3


class Memory(Struct, frozen=True):
    """`closed`: last closed bucket · `first`: first one ever · `monitored`: closed buckets after the burn-in ·
    `prior`: EBGM's, fitted at `boundary` (bucket number / snapshot distance) · `alerted`: pairs that ever alerted ·
    `blocks`: how an open vocabulary shares the budget (`shares`) · `reserve`: what is left for new drugs, None before
    the first close after the burn-in.
    """

    closed: int | None = None
    first: int | None = None
    monitored: int = 0
    prior: Prior | None = None
    boundary: int | None = None
    alerted: dict[PairKey, Alerted] = {}
    blocks: Blocks = ()
    reserve: float | None = None


class _Packed(Struct, array_like=True):
    layout: int
    closed: int | None
    first: int | None
    monitored: int
    prior: tuple[float, float, float, float, float] | None
    boundary: int | None
    alerted: list[tuple[str, str, int, int, float, Level]]
    blocks: Blocks
    reserve: float | None


class _Layout(Struct, array_like=True):
    layout: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode
_decode_layout = msgspec.msgpack.Decoder(_Layout).decode


def encode_memory(memory: Memory) -> bytes:
    """Bytes that are the same for equal memories."""
    alerted = [(drug, event, a.first, a.last, a.ratio, a.level) for (drug, event), a in sorted(memory.alerted.items())]
    prior = None if memory.prior is None else tuple(memory.prior)
    fields = (LAYOUT, memory.closed, memory.first, memory.monitored, prior, memory.boundary, alerted)
    return _encode((*fields, memory.blocks, memory.reserve))


def decode_memory(blob: bytes) -> Memory:
    """Memory from bytes. Raises SchemaTooNew if a newer vigilia wrote them."""
    layout = _decode_layout(blob).layout
    if layout != LAYOUT:
        raise SchemaTooNew(f"detector memory of layout {layout}, this vigilia reads {LAYOUT}")
    packed = _decode(blob)
    return Memory(
        closed=packed.closed,
        first=packed.first,
        monitored=packed.monitored,
        prior=None if packed.prior is None else Prior(*packed.prior),
        boundary=packed.boundary,
        alerted={
            (drug, event): Alerted(first, last, ratio, level)
            for drug, event, first, last, ratio, level in packed.alerted
        },
        blocks=packed.blocks,
        reserve=packed.reserve,
    )
