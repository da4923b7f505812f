"""The lines about versions in config.pbtxt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.triton.versions import NONE, Versions, read_versions, with_versions
from streams.errors import ConfigurationError

HASH = st.text("0123456789abcdef", min_size=64, max_size=64)
numbers = st.integers(1, 40)
versions = st.builds(
    lambda hashes, served, history: Versions(dict(sorted(hashes.items())), tuple(sorted(served)), tuple(history)),
    st.dictionaries(numbers, HASH),
    st.sets(numbers),
    st.lists(numbers),
)
heads = st.lists(st.sampled_from(['name: "adverse_event"', "max_batch_size: 64", "", "# a remark"])).map("\n".join)


@given(heads, versions)
def test_what_is_written_is_read_and_the_rest_is_kept(head: str, stated: Versions) -> None:
    text = with_versions(head + "\n", stated)
    assert read_versions(text) == stated
    assert text.startswith(head.rstrip("\n"))
    assert with_versions(text, stated) == text


@given(heads, versions, versions)
def test_new_lines_replace_the_old_ones(head: str, old: Versions, new: Versions) -> None:
    assert with_versions(with_versions(head, old), new) == with_versions(head, new)


def test_a_configuration_without_the_lines_has_no_versions() -> None:
    assert read_versions('name: "adverse_event"\n') == NONE


@pytest.mark.parametrize(
    "edit",
    [("[ 1, 2 ]", "[ 2 ]  "), ("string_value", "string_valu"), ('"1 2"', '"one"'), ("versions: [", "versions: [ x")],
)
def test_lines_that_were_edited_by_hand_are_refused(edit: tuple[str, str]) -> None:
    text = with_versions("", Versions({1: "ab", 2: "cd"}, (1, 2), (1, 2)))
    with pytest.raises(ConfigurationError, match="changed below"):
        read_versions(text.replace(*edit))


def test_a_version_is_made_current_beside_the_old_one_and_taken_back() -> None:
    first, one = NONE.pushed("a" * 64)
    first = first.made_current(one)
    both, two = first.pushed("b" * 64)
    assert both.served == (1,)
    both = both.made_current(two)
    assert (both.served, both.current) == ((1, 2), 2)
    assert both.made_current(2) == both
    alone = both.only_current()
    assert (alone.served, alone.current) == ((2,), 2)
    back = alone.before()
    assert (back.served, back.current) == ((1, 2), 1)
    assert back.only_current() == first._replace(hashes=both.hashes)
    with pytest.raises(ConfigurationError, match="nothing to go back to"):
        back.before()


def test_a_version_is_named_by_its_number_or_by_its_hash() -> None:
    known = Versions({1: "123456aa" + "0" * 56, 2: "123456bb" + "0" * 56, 123456: "f" * 64})
    assert known.find("2") == 2
    assert known.find("ade-minilm@123456bb") == 2
    assert known.find("123456a") == 1
    assert known.find("123456") == 123456
    for wrong in ("123456b0", "12345", "3", "", "ade@123456", "ade@2"):
        with pytest.raises(ConfigurationError):
            known.find(wrong)
