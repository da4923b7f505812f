"""Live rates of drugs and pairs over trailing windows, from Redis."""

from streams.rates.counts import Estimate, PairRate, Rate
from streams.rates.reader import WINDOWS, RateReader, Rates

__all__ = ["WINDOWS", "Estimate", "PairRate", "Rate", "RateReader", "Rates"]
