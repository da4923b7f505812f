"""What shows only when two drugs are looked at together: an interaction, and a drug that masks another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from streams.events import Table
from streams.monitors.rules import Interaction, Masking
from streams.rules.finding import Finding, Key, Past, is_due
from streams.rules.joint import Joint
from streams.signals.interaction import chi_interaction, expected_additive, omega
from streams.signals.masking import masking_ratio, without_masker
from streams.signals.rounding import round_published
from streams.signals.tables import chi_squared, prr

__all__ = ["BOTH", "interactions", "masked_pairs"]

BOTH = " + "  # between the names of two drugs
CHI_SIGNAL = 2.0  # Gosho 2017

Count = Callable[[Joint], int]


def interactions(
    rule: Interaction, touched: Iterable[Joint], count: Count, past: Mapping[Key, Past]
) -> Iterator[Finding]:
    """Two drugs with more cases of an event than the baseline of adding risks expects (Noren 2008)."""
    for key in sorted(key for key in touched if key[0] == "with" and len(key) == 4):
        _, one, other, event = key
        a, drugs = count(key), one + BOTH + other
        if a < rule.cases or not is_due(past.get(("interaction", drugs, event)), a, rule.growth):
            continue
        finding = _interaction(rule, a, one, other, event, count)
        if finding is not None:
            yield finding


def _interaction(rule: Interaction, a: int, one: str, other: str, event: str, count: Count) -> Finding | None:
    both, all_cases, all_events = count(("with", one, other)), count(("all",)), count(("event", event))
    n1, n2 = count(("drug", one)), count(("drug", other))
    x1, x2 = count(("pair", one, event)), count(("pair", other, event))
    expected = float(
        expected_additive(
            both=both,
            first=(x1 - a, n1 - both),
            second=(x2 - a, n2 - both),
            neither=(all_events - x1 - x2 + a, all_cases - n1 - n2 + both),
        )
    )
    if not expected >= 0:  # NaN: a group without reports leaves nothing to compare with
        return None
    shrunk, chi = omega(a, expected), float(chi_interaction(a, expected))
    value, threshold = (float(shrunk.lower), 0.0) if rule.measure == "omega" else (chi, CHI_SIGNAL)
    if not value > threshold:
        return None
    measures = {
        "omega": float(shrunk.estimate),
        "omega025": float(shrunk.lower),
        "omega975": float(shrunk.upper),
        "chi_interaction": chi,
    }
    return Finding(
        kind="interaction",
        drug=one + BOTH + other,
        event=event,
        statistic=round_published(value),
        threshold=threshold,
        table=Table(
            float(a), float(both - a), float(all_events - a), float(all_cases - both - all_events + a), expected
        ),
        measures={name: round_published(number) for name, number in measures.items()},
        detail={"first": one, "second": other},
    )


def masked_pairs(
    rule: Masking,
    touched: Iterable[Joint],
    count: Count,
    drugs_of: Callable[[str], Mapping[str, int]],
    past: Mapping[Key, Past],
) -> Iterator[Finding]:
    """Pairs that meet Evans' rule only without the reports of the drug with most cases of the event.

    `drugs_of`: cases of an event by drug.
    """
    for key in sorted(key for key in touched if key[0] == "pair"):
        _, drug, event = key
        a = count(key)
        if a < rule.cases or not is_due(past.get(("masking", drug, event)), a, rule.growth):
            continue
        others = sorted((-number, name) for name, number in drugs_of(event).items() if name != drug and number > 0)
        if others:
            finding = _unmasked(rule, drug, event, others[0][1], count)
            if finding is not None:
                yield finding


def _unmasked(rule: Masking, drug: str, event: str, masker: str, count: Count) -> Finding | None:
    a, n, m, total = count(("pair", drug, event)), count(("drug", drug)), count(("event", event)), count(("all",))
    b, c, d = n - a, m - a, total - n - m + a
    shared = ("with", *sorted((drug, masker)))
    masker_c = count(("pair", masker, event)) - count((*shared, event))
    masker_d = count(("drug", masker)) - count(shared) - masker_c
    ratio = float(masking_ratio(c=c, d=d, masker_c=masker_c, masker_d=masker_d))
    if not ratio >= rule.ratio or _meets(rule, a, b, c, d):
        return None
    left_c, left_d = (float(x) for x in without_masker(c=c, d=d, masker_c=masker_c, masker_d=masker_d))
    if not _meets(rule, a, b, left_c, left_d):
        return None
    proportional = prr(a=a, b=b, c=left_c, d=left_d)
    return Finding(
        kind="masking",
        drug=drug,
        event=event,
        statistic=round_published(proportional.estimate or 0.0),
        threshold=rule.threshold,
        table=Table(float(a), float(b), left_c, left_d, (a + b) * (a + left_c) / (a + b + left_c + left_d)),
        measures={
            "prr_masked": round_published(prr(a=a, b=b, c=c, d=d).estimate),
            "prr": round_published(proportional.estimate),
            "prr_lower": round_published(proportional.lower),
            "prr_upper": round_published(proportional.upper),
            "masking_ratio": round_published(ratio),
        },
        detail={"masked by": masker},
    )


def _meets(rule: Masking, a: float, b: float, c: float, d: float) -> bool:
    ratio, chi2 = prr(a=a, b=b, c=c, d=d).estimate, chi_squared(a=a, b=b, c=c, d=d)
    return ratio is not None and ratio >= rule.threshold and chi2 is not None and chi2 >= rule.chi2
