"""How two monitors, two replays or two assessments logs differ."""
