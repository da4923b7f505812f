"""Targets and losses: labels and teachers' opinions in one form, each against an independent recount."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inference.decoding import label_words, span_pair_logit
from tests.training.tiny import corpus, encoded, model, reaction
from training.data import Sentence

torch = pytest.importorskip("torch", reason="no torch: training needs the extra `train`")
pytest.importorskip("transformers", reason="no transformers: training needs the extra `train`")


def read(items: list[Any]) -> tuple[Any, Any]:
    """(batch, outputs of an untrained model)."""
    from training.batches import collate

    batch = collate(items)
    with torch.no_grad():
        return batch, model().eval()(batch.input_ids, batch.attention_mask)


def opinion(items: list[Any], positive: float, label: int) -> Mapping[str, Any]:
    """A teacher that is 80% sure of one label for every word."""
    from training.batches import SoftLabel

    row = np.full(3, 0.1, dtype=np.float32)
    row[label] = 0.8
    return {
        item.sentence.text: SoftLabel(
            positive, dict.fromkeys(item.words.ranges, row), dict.fromkeys(item.words.ranges, row)
        )
        for item in items
    }


def test_with_labels_alone_the_span_loss_is_torchs_cross_entropy() -> None:
    from training.fit.losses import soft_cross_entropy

    items = encoded(corpus(16))
    batch, (_, drug, _, _) = read(items)
    labels = torch.full(drug.shape[:2], -100)
    for row, item in enumerate(items):
        if item.sentence.positive:
            for piece, label in zip(
                item.words.first_piece, label_words(item.words.ranges, item.sentence.drugs), strict=True
            ):
                labels[row, piece] = label
    expected = torch.nn.functional.cross_entropy(drug.flatten(0, 1), labels.flatten(), ignore_index=-100)
    assert float(soft_cross_entropy(drug, batch.drug, batch.drug_weight)) == pytest.approx(float(expected), rel=1e-5)


def test_a_mixed_target_costs_the_mix_of_both_losses() -> None:
    from training.fit.losses import loss_of

    items = [item for item in encoded(corpus(16)) if item.sentence.positive]
    sentences = [item.sentence for item in items]
    soft = opinion(items, 0.9, 2)
    losses = {
        share: float(loss_of(outputs, batch, 0.5, 0.0))
        for share in (0.0, 0.25, 1.0)
        for batch, outputs in [read(encoded(sentences, soft, share=share))]
    }
    assert losses[0.25] == pytest.approx(0.75 * losses[0.0] + 0.25 * losses[1.0], rel=1e-5)


def test_a_sentence_without_label_learns_from_the_teacher_alone_and_is_left_out_without_one() -> None:
    plain = Sentence("he took aspirin daily for 3 days.", "1", "test", False)
    raw = replace(plain, corpus="unlabelled:notes")
    soft = opinion(encoded([plain]), 0.7, 1)
    assert encoded([raw]) == []
    (item,) = encoded([raw], soft, share=0.5)
    assert item.positive == pytest.approx(0.7)
    assert item.span_weight == pytest.approx(0.7)
    assert encoded([raw], opinion(encoded([plain]), 0.3, 1))[0].drug == {}  # a teacher's spans need its belief


def test_spans_of_a_negative_sentence_are_learnt_only_when_asked_for() -> None:
    denied = replace(reaction("aspirin", "rash", "1"), positive=False, pairs=frozenset())
    assert encoded([denied])[0].drug == {}
    assert encoded([denied], negative_spans=True)[0].drug != {}
    assert [pair.blamed for pair in encoded([denied])[0].pairs] == [
        False
    ]  # that nothing is blamed is learnt either way


def test_a_pairs_logit_is_the_mean_over_both_spans_as_the_product_computes_it() -> None:
    from training.fit.losses import pair_logits

    sentences = [reaction("aspirin", "liver failure", "1", innocent="lithium"), reaction("naproxen", "rash", "2")]
    items = encoded(sentences)
    batch, (*_, pair) = read(items)
    expected = [
        span_pair_logit(pair[row].detach().numpy(), item.words, drug, effect)
        for row, item in enumerate(items)
        for drug in item.sentence.drugs
        for effect in item.sentence.effects
    ]
    assert pair_logits(pair, batch).tolist() == pytest.approx(expected, abs=1e-5)
    assert batch.pair_blamed.tolist() == [0.0, 1.0, 1.0]


def test_the_pair_loss_takes_every_drug_with_every_effect() -> None:
    from training.fit.losses import loss_of, pair_logits

    batch, outputs = read(encoded([reaction("aspirin", "rash", "1", innocent="lithium")]))
    lithium, aspirin = pair_logits(outputs[3], batch).tolist()
    expected = (np.log1p(np.exp(lithium)) + np.log1p(np.exp(-aspirin))) / 2
    whole, without = (float(loss_of(outputs, batch, 0.5, weight)) for weight in (1.0, 0.0))
    assert whole - without == pytest.approx(expected, rel=1e-4)


def test_a_span_that_truncation_cut_off_is_no_pair() -> None:
    from tokenizers import Tokenizer

    from tests.training.tiny import tokenizer_json
    from training.batches import encode

    tokenizer = Tokenizer.from_str(tokenizer_json())
    tokenizer.enable_truncation(5)
    assert encode([reaction("aspirin", "rash", "1")], tokenizer)[0].pairs == ()
