from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.events import Alert, Table, Versions, encode, rank
from streams.subscribers.revisions import AlertFilter, Revisions

STATES = ("provisional", "raised", "updated", "withdrawn")


def an_alert(alert_id: str = "a", state: str = "raised", bucket: int = 1, cases: int = 3, drug: str = "RV") -> Alert:
    return Alert(
        id=alert_id, monitor="m", drug=drug, event="Intussusception", kind="signal", level="early",
        state=state,  # type: ignore[arg-type]
        status="new", raised_at="1999-03-03", bucket=bucket, decided=bucket, cases=cases,
        table=Table(5, 3, 10, 400, 0.06), statistic=30.0, threshold=20.0, measures={}, evidence=[], evidence_omitted=0,
        versions=Versions("h", "early", "v", None),
    )  # fmt: skip


revisions = st.lists(
    st.builds(
        an_alert, st.sampled_from("ab"), st.sampled_from(STATES), st.integers(0, 3), st.integers(1, 2)
    ),
    max_size=12,
)  # fmt: skip


@given(revisions)
def test_what_is_shown_of_an_alert_never_falls_in_rank(read: list[Alert]) -> None:
    seen, shown = Revisions(), {}
    for offset, alert in enumerate(read):
        if seen.offer(alert, offset, encode(alert)):
            assert alert.id not in shown or rank(shown[alert.id]) <= rank(alert)
            shown[alert.id] = alert


@given(revisions)
def test_the_newest_revision_is_the_last_among_those_of_the_highest_rank(read: list[Alert]) -> None:
    seen = Revisions()
    for offset, alert in enumerate(read):
        seen.offer(alert, offset, encode(alert))
    newest = {alert.id: alert for offset, alert in enumerate(read) if seen.is_newest(alert, offset)}
    for alert_id in {alert.id for alert in read}:
        mine = [alert for alert in read if alert.id == alert_id]
        best = max(rank(alert) for alert in mine)
        assert newest[alert_id] == [alert for alert in mine if rank(alert) == best][-1]


def test_the_same_revision_published_twice_is_shown_once() -> None:
    seen = Revisions()
    alert = an_alert()
    assert [seen.offer(alert, offset, encode(alert)) for offset in (4, 5)] == [True, False]


def test_a_provisional_alert_that_grows_within_its_bucket_is_shown_again() -> None:
    seen = Revisions()
    three, four = (an_alert(state="provisional", cases=cases) for cases in (3, 4))
    assert [seen.offer(alert, offset, encode(alert)) for offset, alert in enumerate((three, four))] == [True, True]


def test_a_forgotten_alert_may_come_back_at_a_lower_rank() -> None:
    seen = Revisions()
    raised, provisional = an_alert(bucket=5), an_alert(state="provisional", bucket=2)
    seen.offer(raised, 0, encode(raised))
    seen.forget("a")
    assert seen.offer(provisional, 1, encode(provisional))


def test_a_filter_compares_names_without_regard_to_case_and_everything_must_fit() -> None:
    alert = an_alert(drug="Rotavirus vaccine", state="updated")
    assert AlertFilter().matches(alert)
    assert AlertFilter(drug="ROTAVIRUS VACCINE", event="intussusception", level="early", monitor="m").matches(alert)
    assert AlertFilter(states=frozenset({"raised", "updated"})).matches(alert)
    for wrong in (
        AlertFilter(drug="Rotavirus"),
        AlertFilter(event="Fever"),
        AlertFilter(level="strong"),
        AlertFilter(states=frozenset({"raised"})),
        AlertFilter(monitor="n"),
        AlertFilter(drug="Rotavirus vaccine", level="strong"),
    ):
        assert not wrong.matches(alert)
