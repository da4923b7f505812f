"""The alarm rule's parameters from a monitor's settings."""

from __future__ import annotations

from streams.monitors import Monitor
from streams.signals.rule import AlarmRule

__all__ = ["RULES_VERSION", "RULE_VERSION", "rule_of"]

# What decides alerts beside settings; a change of either is as a change of settings: the same log gives other alerts.
RULE_VERSION = "early/1 strong/2"
RULES_VERSION = "rules/2"

DAY_MS = 86_400_000


def rule_of(monitor: Monitor) -> AlarmRule:
    """The `early` rule with `monitor`'s settings, spans of days turned into whole buckets (at least one)."""
    alarms = monitor.alarms

    def buckets(days: int) -> int:
        return max(1, days * DAY_MS // monitor.bucket_ms)

    return AlarmRule(
        pairs=alarms.pairs,
        false_alarms_per_year=alarms.false_alarms_per_year,
        buckets_per_year=alarms.buckets_per_year,
        strata=len(monitor.strata_years) + 2,  # below the first edge, between edges, above the last, age unknown
        burn_in=alarms.burn_in_days * DAY_MS // monitor.bucket_ms,
        window=buckets(alarms.window_days),
        snapshot=buckets(91),
        recent=buckets(182),
        past=buckets(365),
        concurrent=buckets(30),
        bystander=buckets(365),
        bucket_ms=monitor.bucket_ms,
        coded=not monitor.reads_text,
        exclude_own=alarms.exclude_own,
        open_vocabulary=monitor.is_open,
        listed=monitor.listed,
        non_reactions=frozenset(term.casefold() for term in alarms.non_reactions),
    )
