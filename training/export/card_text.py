"""What a model card says beside its figures: whose data, what for, what not for."""

from __future__ import annotations

from typing import Any

BASES: dict[str, dict[str, str]] = {
    "minilm": {"name": "sentence-transformers/all-MiniLM-L6-v2", "licence": "Apache-2.0"},
    "mpnet": {"name": "sentence-transformers/all-mpnet-base-v2", "licence": "Apache-2.0"},
}

# Folder of the data -> where it comes from. What a run read is told by its recipe.json.
CORPORA: dict[str, dict[str, str]] = {
    "ade_corpus_v2": {
        "name": "ADE-Corpus-V2 without its sealed part",
        "text": "sentences of PubMed abstracts of case reports, each related or not to a drug's adverse effect",
        "licence": "none stated; asks to cite Gurulingappa et al., J Biomed Inform 2012;45:885-892",
    },
    "psytar": {
        "name": "PsyTAR",
        "text": "sentences of patients' posts on four psychiatric drugs",
        "licence": "CC BY 4.0; Zolnoori et al., Data in Brief 2019;24:103838",
    },
    "phee_v2": {
        "name": "PHEE V2",
        "text": "sentences of PubMed abstracts with adverse or therapeutic events",
        "licence": "MIT; Sun et al., EACL 2024",
    },
    "ncbi_disease": {
        "name": "NCBI Disease",
        "text": "PubMed abstracts with marked diseases",
        "licence": "public domain; Dogan et al., J Biomed Inform 2014;47:1-10",
    },
}

INTENDED = [
    "Finding sentences of reports and clinical notes in English that assert an adverse drug event, with the drug and"
    " the effect, so that vigilia can count them as evidence in signal detection.",
    "Ranking and pre-selection for a person who reads the sentence: `vigilia classify`, `vigilia uncertain`.",
]

NOT_INTENDED = [
    "Deciding on a patient's treatment, or on a single case without a person.",
    "Judging whether the drug caused the event: it reads what the text asserts.",
    "Languages other than English; text that is not sentences (tables, lists of laboratory values).",
    "Measuring how often a reaction occurs.",
]

LIMITS = [
    "It learnt from abstracts of case reports and from posts of patients on psychiatric drugs. Clinical notes are"
    " another language: the figures on notes are false alarms only, nobody has annotated their adverse events.",
    "A sentence is read without its neighbours: a drug in one sentence and its effect in the next are no pair.",
    "A sentence longer than the longest it was trained on is read in overlapping parts.",
    "Probabilities are calibrated on the development fold's abstracts; text in which events are rarer or commoner"
    " shifts them.",
    "A conformal set keeps its error rate only on text like the text it was calibrated on.",
    "Bits: the same on one machine in any batch, order and number of threads; between processors the last bits of"
    " float32 sums may differ.",
]


UNLABELLED = {
    "name": "Sentences that only the teachers labelled",
    "text": "VAERS narratives, training files of MTS-Dialog and ACI-Bench, PHEE, NCBI Disease; about a quarter each",
    "licence": "public domain; CC BY 4.0 (Ben Abacha et al. 2023, Yim et al. 2023); MIT; public domain",
}
OWN = {"name": "the user's own files", "text": "labelled sentences", "licence": "the user's own matter"}


def corpora_of(recipe: dict[str, Any]) -> list[dict[str, Any]]:
    """The corpora whose files a run read, with the SHA-256 of each file; a run without record read the first two.

    Of the user's own files only the names are told, not where they lie.
    """
    files: dict[str, str] = recipe.get("data") or {}
    found: list[dict[str, Any]] = []
    if not files:
        found = [{**CORPORA[name], "files": {}} for name in ("ade_corpus_v2", "psytar")]
    for folder, about in CORPORA.items():
        inside = {name: digest for name, digest in files.items() if name.partition("/")[0] == folder}
        found += [{**about, "files": inside}] if inside else []
    others = {name.rpartition("/")[2]: d for name, d in files.items() if name.partition("/")[0] not in CORPORA}
    found += [{**OWN, "files": others}] if others else []
    return [*found, {**UNLABELLED, "files": {}}] if recipe.get("unlabelled") else found
