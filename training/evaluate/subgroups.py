"""Is the model worse for some patients, drugs or sources? Groups of sentences against all others, with intervals.

A group is told from text alone, never from the labels or the model, so that positives and negatives of a group are
found by the same rule:

- age and sex: of a document, as one case report's sentences speak of one patient. Sex: words for one sex and none for
  the other. Age: every stated age ("44-year-old", "aged 3 months") and word ("neonate", "elderly") in one band. A
  document that says several things is in no group; one that says nothing is in none either.
- drug class: of a sentence, by the stem that ends (or starts) a drug's international non-proprietary name (USAN and INN
  stem lists: -olol, -pril, -cillin, ...). A sentence may be in several classes; most sentences name no such drug.
- source: the corpus.

F1 depends on how common positives are, so the recall and the share of negatives that are called stand beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from training.data import Sentence
from training.evaluate.metrics import Interval, Resampling, documents_of, f1s, recalls, sentence_hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

AGES = (("child (under 18)", 0, 18), ("adult (18-64)", 18, 65), ("65 and older", 65, 130))
_AGE = re.compile(r"\b(\d{1,3}(?:\.\d)?)[- ](year|yr|month|week|day)s?[- ](?:old|of age)\b", re.IGNORECASE)
_AGED = re.compile(r"\baged (\d{1,3}) (year|month|week|day)s?\b", re.IGNORECASE)
_AGE_WORDS = {
    AGES[0][0]: r"newborns?|neonat\w*|infants?|bab(?:y|ies)|child(?:ren)?|boys?|girls?|adolescents?|pa?ediatric",
    AGES[2][0]: r"elderly|octogenarian|geriatric",
}
_SEX_WORDS = {
    "female": r"wom[ae]n|females?|girls?|she|her|hers|herself|mother|pregnan\w*|lady",
    "male": r"m[ae]n|males?|boys?|he|him|his|himself|gentlem[ae]n",
}

# How names of a class end, by the stems that the USAN Council and WHO's INN programme give out, longer where other
# words share the stem; and whole names of common drugs that have no stem.
_ENDS = {
    "anti-infective": (
        "cillin oxacin floxacin thromycin bramycin vancomycin damycin neomycin streptomycin kanamycin daptomycin"
        " gentamicin gentamycin tetracycline minocycline doxycycline tigecycline penem conazole nidazole vir roquine"
        " diaquine floquine maquine fungin bendazole cephalexin cephalothin cephradine cephalosporin rifampin"
        " rifampicin isoniazid trimethoprim sulfamethoxazole linezolid nitrofurantoin nevirapine dapsone"
    ),
    "heart and blood": (
        "olol pril sartan dipine vastatin azosin thiazide semide parin dogrel gatran xaban darone verapamil diltiazem"
        " digoxin warfarin clonidine hydralazine procainamide quinidine methyldopa nitroglycerin"
    ),
    "nervous system": (
        "azepam azolam oxetine triptyline ipramine peridol promazine perazine zapine tiapine oxapine peridone asidone"
        " primidone piprazole nytoin hydantoin barbital azepine triptan racetam caine flurane curonium curium lithium"
        " valproate valproic citalopram sertraline gabalin bapentin lamotrigine morphine codone fentanil bupropion"
        " methylphenidate"
    ),
    "cancer and immune": (
        "tinib platin rubicin taxel mab trexate citabine arabine poside vincristine vinblastine vinorelbine mustine"
        " fosfamide phosphamide busulfan chlorambucil melphalan interferon nercept facept tacrolimus sirolimus"
        " everolimus cyclosporine cyclosporin ciclosporin azathioprine mercaptopurine fluorouracil interleukin lidomide"
        " zomib bleomycin adriamycin mitomycin actinomycin daunomycin rapamycin"
    ),
    "pain, inflammation, hormones": (
        "profen fenac coxib oxicam methacin metacin naproxen aspirin acetaminophen paracetamol salicylate nisone tisone"
        " asone solone esonide estradiol progesterone estrogen tamoxifen thyroxine insulin glitazone formin gliptin"
        " glutide thiouracil methimazole carbimazole dronate"
    ),
}
_STARTS = {"anti-infective": ("cef",)}
NOT_DRUGS = frozenset(("cocaine", "stanozolol", "april"))  # their stems say otherwise


def _pattern(name: str) -> re.Pattern[str]:
    ends = [f"[a-z]*{end}" for end in _ENDS[name].split()]
    return re.compile("|".join(ends + [f"{start}[a-z]{{4,}}" for start in _STARTS.get(name, ())]))


_CLASSES = {name: _pattern(name) for name in _ENDS}


def drug_classes(text: str) -> frozenset[str]:
    """The classes of the drugs that a text names, by their stems.

    >>> sorted(drug_classes("Metoprolol and cefuroxime were stopped in April."))
    ['anti-infective', 'heart and blood']
    """
    words = {word for word in re.findall(r"[a-z]{5,}", text.lower()) if word not in NOT_DRUGS}
    return frozenset(name for name, stem in _CLASSES.items() if any(stem.fullmatch(word) for word in words))


def sex_of(text: str) -> str | None:
    """Female or male, if words say one and not the other.

    >>> sex_of("A 44-year-old man took it."), sex_of("A woman and her son."), sex_of("The boy and the girl.")
    ('male', 'female', None)
    """
    said = [sex for sex, words in _SEX_WORDS.items() if re.search(rf"\b(?:{words})\b", text, re.IGNORECASE)]
    return said[0] if len(said) == 1 else None


def age_of(text: str) -> str | None:
    """The band of the age that a text states, if it states one only.

    >>> age_of("A 44-year-old man"), age_of("A 3-week-old infant"), age_of("A 70-year-old and a 4-year-old")
    ('adult (18-64)', 'child (under 18)', None)
    """
    years = [
        float(n) if unit.lower() in ("year", "yr") else 0.0 for n, unit in _AGE.findall(text) + _AGED.findall(text)
    ]
    bands = {name for n in years for name, low, high in AGES if low <= n < high}
    if not bands:
        bands = {name for name, words in _AGE_WORDS.items() if re.search(rf"\b(?:{words})\b", text, re.IGNORECASE)}
    return bands.pop() if len(bands) == 1 else None


def groups_of(sentences: Sequence[Sentence]) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """{(dimension, group): which sentences are in it}, groups that hold a sentence only."""
    texts: dict[str, list[str]] = {}
    for sentence in sentences:
        texts.setdefault(sentence.document, []).append(sentence.text)
    whole = {document: " ".join(parts) for document, parts in texts.items()}
    sex = {document: sex_of(text) for document, text in whole.items()}
    age = {document: age_of(text) for document, text in whole.items()}
    tellers: Mapping[str, tuple[Iterable[str], Callable[[Sentence], Iterable[str | None]]]] = {
        "age": ([name for name, _, _ in AGES], lambda s: (age[s.document],)),
        "sex": (_SEX_WORDS, lambda s: (sex[s.document],)),
        "drug class": (_CLASSES, lambda s: drug_classes(s.text)),
        "source": (sorted({s.corpus for s in sentences}), lambda s: (s.corpus,)),
    }
    found = {
        (dimension, group): np.array([group in tell(s) for s in sentences])
        for dimension, (groups, tell) in tellers.items()
        for group in groups
    }
    return {key: inside for key, inside in found.items() if inside.any()}


def _false_alarms(sums: NDArray[Any]) -> NDArray[np.float64]:
    """Share of negatives that are called: rows of (called negatives, negatives)."""
    return np.asarray(sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan), dtype=np.float64)


def _gap(resampling: Resampling, rows: NDArray[Any], inside: NDArray[np.bool_], measure: Any) -> Interval:
    return resampling.of_difference(rows * inside[:, None], rows * ~inside[:, None], measure)


def subgroup_figures(
    sentences: Sequence[Sentence],
    probabilities: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    dimensions: Sequence[str] = ("age", "sex", "drug class"),
) -> list[dict[str, Any]]:
    """A row for each group: F1, recall and false alarms, and their gaps to all other sentences of the dimension.

    The other sentences are those of the dimension's other groups: who states no sex is not compared with.
    """
    labels = np.array([s.positive for s in sentences])
    hits = sentence_hits(probabilities, labels, thresholds)
    alarms = np.column_stack([hits[:, 1], ~labels]).astype(float)
    groups = {key: inside for key, inside in groups_of(sentences).items() if key[0] in dimensions}
    rows = []
    for (dimension, group), inside in groups.items():
        known = np.any([other for (d, _), other in groups.items() if d == dimension], axis=0)
        chosen = [s for s, keep in zip(sentences, known, strict=True) if keep]
        resampling, among = Resampling(documents_of(chosen)), inside[known]
        row: dict[str, Any] = {"dimension": dimension, "group": group, "sentences": int(inside.sum())}
        row |= {"documents": len({s.document for s, i in zip(chosen, among, strict=True) if i})}
        row |= {"positives": int((inside & labels).sum())}
        for name, counts, measure in (
            ("F1", hits[known], f1s),
            ("recall", hits[known], recalls),
            ("false alarms", alarms[known], _false_alarms),
        ):
            row[name] = resampling.of_counts(counts * among[:, None], measure)
            if not among.all():
                row[f"{name}, gap"] = _gap(resampling, counts, among, measure)
        rows.append(row)
    return rows
