"""Review of alerts: what people say of them, kept beside the log of cases and joined by readers."""

from streams.reviews.desk import Reviews
from streams.reviews.entry import ReviewEntry
from streams.reviews.history import History, Review

__all__ = ["History", "Review", "ReviewEntry", "Reviews"]
