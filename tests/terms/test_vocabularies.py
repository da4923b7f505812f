"""Vocabularies in the layouts in which they are shipped, with invented contents; and the open ones as they are."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from streams.errors import ConfigurationError
from streams.terms.loaders import load_vocabulary
from streams.terms.vocabulary import Terms, built

RXNCONSO = """\
10|ENG||||||||||RXNORM|IN|10|alphacillin||N||
11|ENG||||||||||RXNORM|BN|11|Alphabrand||N||
12|ENG||||||||||RXNORM|SCD|12|alphacillin 250 MG Oral Tablet||N||
13|ENG||||||||||RXNORM|SCDC|13|alphacillin 250 MG||N||
14|ENG||||||||||RXNORM|PIN|14|alphacillin sodium||N||
20|ENG||||||||||RXNORM|IN|20|betamab||N||
30|ENG||||||||||RXNORM|MIN|30|alphacillin / betamab||N||
31|ENG||||||||||RXNORM|BN|31|Duobrand||N||
10|ENG||||||||||MTHSPL|SU|X1|ALPHACILLINUM||N||
20|ENG||||||||||DRUGBANK|SY|X2|beta mab||O||
90|ENG||||||||||RXNORM|DF|90|Oral Tablet||N||
"""
# The second concept has the relation to the first: Alphabrand (11) tradename_of alphacillin (10).
RXNREL = """\
10||CUI|RN|11||CUI|tradename_of|||RXNORM|||||
11||CUI|RB|10||CUI|has_tradename|||RXNORM|||||
13||CUI|RO|12||CUI|consists_of|||RXNORM|||||
10||CUI|RO|13||CUI|has_ingredient|||RXNORM|||||
10||CUI|RN|14||CUI|form_of|||RXNORM|||||
10||CUI|RO|30||CUI|has_part|||RXNORM|||||
20||CUI|RO|30||CUI|has_part|||RXNORM|||||
10||CUI|RN|31||CUI|tradename_of|||RXNORM|||||
20||CUI|RN|31||CUI|tradename_of|||RXNORM|||||
90||CUI|RO|12||CUI|has_dose_form|||RXNORM|||||
"""


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / name.replace("_asc", ".asc").replace("_txt", ".txt").replace("_RRF", ".RRF")).write_bytes(
            content.encode("latin-1")
        )
    return folder


def test_every_name_of_rxnorm_stands_for_its_ingredients(tmp_path: Path) -> None:
    folder = tmp_path / "RxNorm_full_05062024" / "rrf"
    folder.mkdir(parents=True)
    vocabulary = load_vocabulary("drugs", "rxnorm", write(folder, RXNCONSO_RRF=RXNCONSO, RXNREL_RRF=RXNREL))
    drug = Terms([vocabulary], []).drug
    for name in ("ALPHACILLIN", "alphabrand", "Alphacillinum", "alphacillin sodium", "alphacillin 250 mg oral tablet"):
        assert drug(name).terms == ("alphacillin",), name
    assert drug("Duobrand").terms == drug("alphacillin / betamab").terms == ("alphacillin", "betamab")
    assert drug("oral tablet").terms == drug("beta mab").terms == (), "no drug; suppressed"
    assert vocabulary.version == "05062024"
    alone = load_vocabulary("drugs", "rxnorm", write(tmp_path, RXNCONSO_RRF=RXNCONSO))
    assert (set(alone.entries), alone.terms) == (
        {"alphacillin", "alphacillinum", "betamab"},
        {"alphacillin", "betamab"},
    )


def test_every_name_of_a_whodrug_record_stands_for_its_preferred_name(tmp_path: Path) -> None:
    def row(record: str, sequence: str, name: str) -> str:
        return f"{record}{sequence}" + "9N".ljust(19) + name

    lines = [row("000001", "01001", "ALPHACILLIN"), row("000001", "01002", "ALPHABRAND"),
             row("000001", "02001", "ALPHACILLIN SODIUM"), row("000002", "01002", "ORPHAN BRAND")]  # fmt: skip
    folder = write(tmp_path, DD_txt="\r\n".join(lines), version_txt="WHODrug GLOBALB3Mar25\n")
    vocabulary = load_vocabulary("drugs", "whodrug", folder)
    drug = Terms([vocabulary], []).drug
    assert [drug(name).terms for name in ("Alphabrand", "alphacillin sodium", "Alphacillin")] == [("ALPHACILLIN",)] * 3
    assert drug("orphan brand").terms == ()
    assert vocabulary.version == "WHODrug GLOBALB3Mar25"


MEDDRA = {
    "pt_asc": "100$Feberitis$$900$$$$$$$\n101$Rashitis$$901$$$$$$$\n102$Café reaction$$901$$$$$$$\n",
    "llt_asc": "200$Feberitis$100$$$$$$$Y$$\n201$Hot feeling$100$$$$$$$Y$$\n202$Old rash$101$$$$$$$N$$\n",
    "mdhier_asc": "100$300$400$900$Feberitis$Feberitis HLT$Feberitis HLGT$General$Genrl$$900$Y$\n"
    "100$301$401$901$Feberitis$Other HLT$Other HLGT$Skin$Skin$$900$N$\n",
    "smq_list_asc": "20000001$Hot conditions$1$d$s$n$27.0$A$N$\n20000002$Hot and red$1$d$s$n$27.0$A$N$\n",
    "smq_content_asc": "20000001$100$4$2$A$0$A$5.0$5.0$\n20000001$202$5$1$A$0$A$5.0$5.0$\n"
    "20000001$102$4$2$A$0$I$5.0$5.0$\n20000002$20000001$0$0$S$0$A$5.0$5.0$\n20000002$102$4$1$A$0$A$5.0$5.0$\n",
    "meddra_release_asc": "27.0$English$$$$\n",
}


def test_lowest_level_terms_of_meddra_stand_for_their_preferred_term(tmp_path: Path) -> None:
    vocabulary = load_vocabulary("events", "meddra", write(tmp_path, **MEDDRA))
    event = Terms([], [vocabulary]).event
    assert [event(name).terms for name in ("HOT FEELING", "feberitis", "Old rashes")] == [
        ("Feberitis",), ("Feberitis",), ("Rashitis",),
    ]  # fmt: skip
    assert event("café reaction").terms == ("Café reaction",), "latin-1 as MedDRA ships it"
    assert vocabulary.version == "27.0"
    assert vocabulary.above == {"Feberitis": ("Feberitis HLT", "Feberitis HLGT", "General")}, "the primary path"
    assert {name: set(terms) for name, terms in vocabulary.groups.items()} == {
        "Hot conditions (narrow)": {"Feberitis"},
        "Hot conditions (broad)": {"Feberitis", "Rashitis"},
        "Hot and red (narrow)": {"Feberitis"},
        "Hot and red (broad)": {"Feberitis", "Rashitis", "Café reaction"},
    }


def test_an_ontology_maps_exact_synonyms_and_leaves_obsolete_and_broader_ones_alone(tmp_path: Path) -> None:
    (tmp_path / "a.obo").write_text(
        'format-version: 1.2\ndata-version: v7\n\n[Term]\nid: X:1\nname: Fever\nsynonym: "Pyrexia" EXACT []\n'
        'synonym: "Heat" BROAD []\n\n[Term]\nid: X:2\nname: Gone\nis_obsolete: true\n\n[Typedef]\nid: p\nname: part\n'
    )
    vocabulary = load_vocabulary("events", "obo", tmp_path / "a.obo")
    assert (dict(vocabulary.entries), vocabulary.version) == ({"fever": ("Fever",), "pyrexia": ("Fever",)}, "v7")


def test_a_csv_file_maps_names_to_one_or_more_terms(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text('"Duo, forte",alpha|beta\nAlpha-X,alpha\n\n')
    drug = Terms([load_vocabulary("drugs", "csv", tmp_path / "own.csv")], []).drug
    assert [drug(name).terms for name in ("duo, forte", "alpha-x", "beta")] == [
        ("alpha", "beta"),
        ("alpha",),
        ("beta",),
    ]


@pytest.mark.parametrize(
    ("kind", "format_", "content", "words"),
    [
        ("drugs", "csv", "a,b,c", "row 1: two columns"),
        ("drugs", "csv", "", "holds no names"),
        ("events", "rxnorm", "", "has no events"),
        ("events", "obo", None, "can't be read"),
        ("events", "meddra", None, "pt.asc: can't be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, kind: str, format_: str, content: str | None, words: str
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        load_vocabulary(kind, format_, path)  # type: ignore[arg-type]


def test_a_line_with_too_few_fields_is_named(tmp_path: Path) -> None:
    write(tmp_path, **{**MEDDRA, "llt_asc": "200$Feberitis$100$\n\n201$cut\n"})
    with pytest.raises(ConfigurationError, match=r"llt.asc, line 3: 2 fields"):
        load_vocabulary("events", "meddra", tmp_path)


def test_the_digest_is_of_what_names_mean_alone() -> None:
    one = built("drugs", "csv", "1", [("A", ["x"]), ("B", ["y"])])
    assert one.digest == built("drugs", "obo", "2", [("b", ["y"]), ("a", ["x"]), ("A", ["x"])]).digest
    assert one.digest != built("drugs", "csv", "1", [("A", ["x"]), ("B", ["z"])]).digest
    assert one.digest != built("events", "csv", "1", [("A", ["x"]), ("B", ["y"])]).digest


def test_names_that_look_alike_are_marked_and_never_guessed_between_terms() -> None:
    vocabulary = built(
        "drugs", "csv", "1", [("naproxen", ["naproxen"]), ("amlodipine", ["a"]), ("amlodipone", ["b"]), ("ibu", ["i"])]
    )
    drug = Terms([vocabulary], [], 85).drug
    assert drug("naproxin")[:3] == (("naproxen",), "csv", 87)
    assert drug("naproxen").similarity == 100
    assert drug("amlodipyne").terms == (), "two terms are equally near"
    assert drug("ibo").terms == (), "too short to tell"
    assert Terms([vocabulary], []).drug("naproxin").terms == (), "only where it is asked for"


@pytest.fixture(scope="module")
def open_terms() -> Terms:
    return Terms([load_vocabulary("drugs", "open", None)], [load_vocabulary("events", "open", None)])


def test_open_vocabularies_know_brands_and_what_lay_people_say(open_terms: Terms) -> None:
    assert [open_terms.drug(name).terms for name in ("Tylenol", "paracetamol 500 mg", "Celebrex")] == [
        ("acetaminophen",), ("acetaminophen",), ("celecoxib",),
    ]  # fmt: skip
    assert open_terms.event("pyrexia").terms == open_terms.event("FEVER").terms == ("Fever",)


def test_open_drugs_agree_with_the_register_of_approved_products(open_terms: Terms, shared_data: Path) -> None:
    """Drugs@FDA's pairs of one brand and one ingredient; where both are known they must mostly be the same drug."""
    with (shared_data / "vocab_drugsfda" / "brand_to_ingredient.csv").open(encoding="utf-8") as file:
        pairs = [(row["DrugName"], row["ActiveIngredient"]) for row in csv.DictReader(file)]
    single = [(brand, ingredient) for brand, ingredient in pairs if ";" not in ingredient]
    both = [(open_terms.drug(b).terms, open_terms.drug(i).terms) for b, i in single]
    known = [(brand, ingredient) for brand, ingredient in both if brand and ingredient]
    same = sum(brand == ingredient for brand, ingredient in known)
    assert len(known) / len(single) > 0.4
    assert same / len(known) > 0.7
