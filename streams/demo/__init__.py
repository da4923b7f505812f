"""The generated year of `vigilia demo`: reports and notes made up by us, and the truth about them."""

from streams.demo.generator import DEFAULT_SEED, Year, generate_year
from streams.demo.story import Story

__all__ = ["DEFAULT_SEED", "Story", "Year", "generate_year"]
