"""The cache of readings: the exact text is the key, and the bound holds."""

from __future__ import annotations

import zlib
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.cache import SentenceCache
from inference.classifier import Reading


def test_what_was_put_is_found_and_what_was_not_is_a_miss() -> None:
    cache = SentenceCache(4)
    cache.put("a", Reading(0.1))
    assert cache.get("a") == Reading(0.1)
    assert cache.get("b") is None
    assert (cache.hits, cache.misses) == (1, 1)


@pytest.mark.parametrize("other", ["No rash", "no rash.", "No  rash.", "No rash. ", "No rash.", "No rash\u2024"])
def test_a_text_that_differs_in_anything_is_another_sentence(other: str) -> None:
    cache = SentenceCache(4)
    cache.put("No rash.", Reading(0.1))
    assert cache.get(other) == (Reading(0.1) if other == "No rash." else None)


def test_texts_that_share_a_hash_keep_their_own_readings() -> None:
    first, second = "plumless", "buckeroo"  # the known collision of CRC-32
    assert zlib.crc32(first.encode()) == zlib.crc32(second.encode())
    cache = SentenceCache(4)
    cache.put(first, Reading(0.1))
    assert cache.get(second) is None
    cache.put(second, Reading(0.9))
    assert (cache.get(first), cache.get(second)) == (Reading(0.1), Reading(0.9))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=200), st.integers(1, 6))
def test_it_holds_what_was_asked_for_last_and_never_more_than_its_size(
    steps: list[tuple[bool, int]], size: int
) -> None:
    cache, expected = SentenceCache(size), OrderedDict[str, Reading]()
    for is_put, number in steps:
        key, reading = str(number), Reading(number / 100)
        if is_put:
            cache.put(key, reading)
            expected[key] = reading
            expected.move_to_end(key)
            expected = OrderedDict(list(expected.items())[-size:])
        else:
            assert cache.get(key) == expected.get(key)
            if key in expected:
                expected.move_to_end(key)
        assert len(cache) == len(expected) <= size


def test_its_repr_shows_no_text() -> None:
    cache = SentenceCache(4)
    cache.put("Jane Roe has a rash", Reading(0.1))
    assert "Jane" not in repr(cache)


def test_a_cache_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="leave it out"):
        SentenceCache(0)
