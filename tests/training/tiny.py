"""A corpus, a tokenizer, a base model and a data folder so small that training them for real takes seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from training.data import Sentence

DRUGS = ["aspirin", "lithium", "warfarin", "naproxen"]
EFFECTS = ["rash", "tremor", "liver failure", "fever"]
DAYS = [str(number) for number in range(30)]
WORDS = [
    *DRUGS,
    *("rash", "tremor", "liver", "failure", "fever", "after", "gave", "him", "a", "he", "took", "daily", "."),
    *("not", "but", "for", "days", ","),
    *DAYS,
]
UNUSED = [f"unused{number}" for number in range(40)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def reaction(drug: str, effect: str, document: str, innocent: str | None = None, days: str = "3") -> Sentence:
    """A drug gave him an effect; an innocent drug is named before it and blamed for nothing."""
    start = f"not {innocent} but " if innocent else ""
    text = f"{start}{drug} gave him a {effect} for {days} days."
    drugs = tuple((text.index(name), text.index(name) + len(name)) for name in (innocent, drug) if name)
    at = text.index(effect)
    return Sentence(text, document, "test", True, drugs, ((at, at + len(effect)),), frozenset({(len(drugs) - 1, 0)}))


def corpus(size: int, seed: int = 1) -> list[Sentence]:
    """Half reactions (some of them with an innocent drug beside the blamed one), half doses."""
    rng = random.Random(seed)
    sentences = []
    for i in range(size):
        drug, innocent = rng.sample(DRUGS, 2)
        if i % 2:
            sentences.append(
                reaction(drug, rng.choice(EFFECTS), str(i), innocent if i % 4 == 1 else None, rng.choice(DAYS))
            )
        else:
            sentences.append(Sentence(f"he took {drug} daily for {rng.choice(DAYS)} days.", str(i), "test", False))
    return sentences


def tokenizer_json(pieces: list[str] | None = None) -> str:
    """A WordPiece tokenizer of BERT's kind over the corpus's words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = list(dict.fromkeys(pieces or [*SPECIAL, *WORDS, *"abcdefghijklmnopqrstuvwxyz", "##s", *UNUSED]))
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", pieces.index("[CLS]")), ("[SEP]", pieces.index("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.add_special_tokens(SPECIAL)
    return str(tokenizer.to_str())


def model(layers: int = 2, seed: int = 0, pieces: int | None = None) -> Any:
    """A random encoder with fresh heads."""
    import torch

    from training.model import from_config

    torch.manual_seed(seed)
    return from_config(
        vocab_size=pieces or len(json.loads(tokenizer_json())["model"]["vocab"]), hidden_size=32,
        num_hidden_layers=layers, num_attention_heads=2, intermediate_size=64, max_position_embeddings=96,
    )  # fmt: skip


def encoded(sentences: list[Sentence], soft: Any = None, **options: Any) -> list[Any]:
    """Sentences as the tiny model reads them."""
    from tokenizers import Tokenizer

    from training.batches import encode

    tokenizer = Tokenizer.from_str(tokenizer_json())
    tokenizer.enable_truncation(96)
    return encode(sentences, tokenizer, soft, **options)


def trainer(network: Any, **recipe: Any) -> Any:
    """A trainer of one stage of six epochs, unless told otherwise."""
    from training.fit import Log, Recipe, Stage, Trainer

    stages = recipe.pop("stages", (Stage("all", 1.0, False, 6, 3e-3, 1e-2),))
    return Trainer(network, Recipe(stages=stages, **{"batch": 8, **recipe}), Log(None, quiet=True))


def base_folder(folder: Path, layers: int = 2) -> Path:
    """A Hugging Face folder to start from."""
    folder.mkdir(parents=True)
    model(layers).encoder.save_pretrained(str(folder))
    (folder / "tokenizer.json").write_text(tokenizer_json())
    return folder


def data_folder(folder: Path, size: int = 120) -> Path:
    """The corpus in the files of ADE-Corpus-V2, and some of it again as PsyTAR's."""
    relations, negatives, patients = [], [], ["sentences\tADR\tWD"]
    for i, s in enumerate({s.text: s for s in corpus(size)}.values()):
        document = str(1000 + i)
        for drug, effect in sorted(s.pairs):
            (a, b), (c, d) = s.effects[effect], s.drugs[drug]
            relations.append(f"{document}|{s.text}|{s.text[a:b]}|{a}|{b}|{s.text[c:d]}|{c}|{d}")
        if not s.positive:
            negatives.append(f"{document} NEG {s.text}")
        patients.append(f"{s.text[:-1]} daily.\t{int(s.positive)}\t0")
    (folder / "ade_corpus_v2").mkdir(parents=True)
    (folder / "ade_corpus_v2" / "DRUG-AE.rel").write_text("\n".join(relations) + "\n")
    (folder / "ade_corpus_v2" / "ADE-NEG.txt").write_text("\n".join(negatives) + "\n")
    (folder / "psytar" / "binary").mkdir(parents=True)
    (folder / "psytar" / "binary" / "train.csv").write_text("\n".join(patients[:30]) + "\n")
    (folder / "psytar" / "binary" / "dev.csv").write_text("\n".join([patients[0], *patients[30:40]]) + "\n")
    return folder
