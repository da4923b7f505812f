"""The deletion test and its torch referee."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tokenizers import Tokenizer  # noqa: E402
from tokenizers.models import WordLevel  # noqa: E402
from tokenizers.pre_tokenizers import BertPreTokenizer  # noqa: E402
from tokenizers.processors import TemplateProcessing  # noqa: E402

from training import model as models  # noqa: E402
from training.trust.faithfulness import Found, agreement, area, resampled, without  # noqa: E402
from training.trust.gradients import Gradients  # noqa: E402

TEXT = "Rash after ibuprofen, twice."
RANGES = [(0, 4), (5, 10), (11, 20), (20, 21), (22, 27), (27, 28)]


def test_words_are_cut_out_of_the_text() -> None:
    assert without(TEXT, RANGES, set()) == TEXT
    assert without(TEXT, RANGES, {0, 2, 3}) == "after twice."
    assert without(TEXT, RANGES, set(range(6))) == ""


def test_a_curve_that_falls_sooner_has_the_smaller_area() -> None:
    assert area([4.0, 0.0, 0.0]) < area([4.0, 2.0, 0.0]) < area([4.0, 4.0, 0.0])
    assert Found([], [[4.0, 2.0, 0.0], [1.0, 1.0, 1.0]]).areas.tolist() == [2.0, 1.0]
    found = resampled(Found([], [[float(i)] * 3 for i in range(100)]).areas)
    assert found.low < found.value == 49.5 < found.high


def test_agreement_is_of_ranks() -> None:
    one = Found([[1.0, 2.0, 30.0], [3.0, 2.0, 1.0]])
    assert agreement(one, Found([[1.0, 2.0, 3.0], [9.0, 8.0, 1.0]])) == pytest.approx(1.0)
    assert agreement(one, Found([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])) == pytest.approx(0.0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a tiny model of random weights."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "rash", "after", "ibuprofen", ",", "twice", "."]
    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    torch.manual_seed(1)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    models.save(models.from_config(vocab_size=len(words), max_position_embeddings=32, **size), tmp_path)
    return tmp_path


def test_integrated_gradients_sum_to_what_the_logit_gains(run: Path) -> None:
    """Sundararajan et al. 2017, completeness; the midpoint rule's error falls with the number of steps."""
    errors = []
    for steps in (4, 64):
        words, attributions, difference = Gradients(run, steps).attributions("rash after ibuprofen, twice.")
        errors.append(abs(sum(attributions) - difference))
        assert len(attributions) == len(words.ranges) == 6
    assert errors[1] < 1e-3 * max(1.0, abs(difference))
    assert errors[1] <= errors[0] + 1e-6
