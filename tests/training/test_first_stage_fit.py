"""Training of the first stage, on made-up sentences: seconds, no corpus and no transformer."""

from __future__ import annotations

import random

import numpy as np
import pytest

from inference.first_stage import FirstStage
from training.first_stage import RECALL, Example, fit_first_stage

DRUGS = ["amoxicillin", "clozapine", "lithium", "ketoconazole", "warfarin"]
EFFECTS = ["rash", "neutropenia", "seizures", "hepatitis", "bleeding"]
PLAIN = ["She lives with her husband.", "Lungs are clear.", "Follow up in {} weeks.", "He works as a driver, aged {}."]
BITS = 12


def made_up(count: int, seed: int = 1) -> list[Example]:
    chance, given = random.Random(seed), []
    for n in range(count):
        positive = n % 2 == 0
        text = (
            f"{chance.choice(EFFECTS)} after {chance.choice(DRUGS)} on day {chance.randint(1, 9)}."
            if positive
            else chance.choice(PLAIN).format(chance.randint(1, 90))
        )
        given.append(Example(text, f"document {n}", ("ade", "psytar")[n % 4 // 2], positive))
    return given


def silent(_: str) -> None:
    pass


def test_it_lets_unseen_adverse_events_through_and_spares_the_rest() -> None:
    stage = fit_first_stage(made_up(400), {"on": "made up"}, bits=BITS, say=silent).stage
    unseen = made_up(200, seed=2)
    assert all(stage.reading(e.text) is None for e in unseen if e.positive)
    assert np.mean([stage.reading(e.text) is not None for e in unseen if not e.positive]) > 0.95
    assert 0 < stage.header.probability < 0.05
    assert stage.header.trained == {"on": "made up"}


def test_the_threshold_lets_its_share_of_the_positives_of_each_corpus_through() -> None:
    chance = random.Random(3)
    given = made_up(800)
    given += [Example(f"{chance.choice(PLAIN)} {n}", f"odd {n}", "psytar", True) for n in range(40)]  # hopeless ones
    fitted = fit_first_stage(given, {}, bits=BITS, say=silent)
    for through, positives in fitted.through.values():
        assert through >= positives * RECALL - 1
    assert sum(positives for _, positives in fitted.through.values()) == 440


def test_two_fits_give_the_same_bytes_and_the_file_reads_back() -> None:
    first, second = (fit_first_stage(made_up(120), {}, bits=BITS, say=silent).stage.encoded() for _ in range(2))
    assert first == second
    assert len(first) < (1 << BITS) + 200


def test_without_positives_of_a_corpus_there_is_no_threshold() -> None:
    given = [e for e in made_up(100) if e.corpus == "ade"]
    with pytest.raises(ValueError, match="no positive sentence"):
        fit_first_stage(given, {}, bits=BITS, say=silent)


def test_a_stage_needs_as_many_weights_as_its_header_says() -> None:
    stage = fit_first_stage(made_up(60), {}, bits=BITS, say=silent).stage
    with pytest.raises(ValueError, match="instead of 4096"):
        FirstStage(stage.header, bytes(10))
