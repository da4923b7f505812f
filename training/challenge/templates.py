"""The part of the challenge set that is made from templates. `python -m training.challenge.templates` prints it.

The sentences in the file are the reference; a test holds this module to them. None of these templates may be used to
make training text: what a model has seen filled in, it does not understand, it remembers.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec

from training.challenge.items import Blame, Item

POSITIVE_COPIES, NEGATIVE_COPIES = 2, 3  # sentences a template: with the hand-written part, 47% of all are positive
Pairs = tuple[tuple[str, str], ...]


class Filler(NamedTuple):
    """A drug, an effect that it can have, another drug for such patients, and what the drug is given for."""

    drug: str
    effect: str
    other: str
    condition: str


FILLERS = (
    Filler("carbamazepine", "hyponatremia", "levetiracetam", "epilepsy"),
    Filler("ibuprofen", "gastric bleeding", "paracetamol", "back pain"),
    Filler("amitriptyline", "dry mouth", "venlafaxine", "neuropathic pain"),
    Filler("doxycycline", "photosensitivity", "azithromycin", "rosacea"),
    Filler("enalapril", "hyperkalemia", "bisoprolol", "heart failure"),
    Filler("risperidone", "galactorrhea", "lorazepam", "schizophrenia"),
    Filler("cyclophosphamide", "hemorrhagic cystitis", "mesna", "vasculitis"),
    Filler("fentanyl", "respiratory depression", "ketamine", "cancer pain"),
    Filler("ritonavir", "diarrhea", "lamivudine", "HIV infection"),
    Filler("sunitinib", "hand-foot syndrome", "interferon", "renal cell carcinoma"),
    Filler("verapamil", "constipation", "telmisartan", "angina"),
    Filler("tramadol", "serotonin syndrome", "naproxen", "knee pain"),
    Filler("zonisamide", "nephrolithiasis", "lacosamide", "focal epilepsy"),
    Filler("pioglitazone", "ankle edema", "sitagliptin", "type 2 diabetes"),
    Filler("dapsone", "hemolysis", "clofazimine", "leprosy"),
    Filler("memantine", "dizziness", "donepezil", "dementia"),
    Filler("interferon beta", "leukopenia", "baclofen", "multiple sclerosis"),
    Filler("tamsulosin", "orthostatic hypotension", "finasteride", "prostatic hyperplasia"),
    Filler("hydroxychloroquine", "retinopathy", "sulfasalazine", "lupus"),
    Filler("tocilizumab", "neutropenia", "methotrexate", "giant cell arteritis"),
    Filler("paroxetine", "insomnia", "buspirone", "panic disorder"),
    Filler("ceftazidime", "encephalopathy", "tobramycin", "pseudomonal pneumonia"),
    Filler("naltrexone", "hepatitis", "acamprosate", "alcohol dependence"),
    Filler("bevacizumab", "proteinuria", "oxaliplatin", "colorectal cancer"),
)
_STRIDES = 5, 7  # from template to template, from copy to copy; coprime to the number of fillers, so all take part


class Template(NamedTuple):
    """A sentence with gaps: fields of `Filler`, or one with a capital first letter (`{Drug}`). Pairs are filled too."""

    kind: str
    register: str
    text: str
    asserted: Pairs = ()
    denied: Pairs = ()


_EFFECT: Pairs = (("{drug}", "{effect}"),)
_FOR: Pairs = (("{drug}", "{condition}"),)
_OTHER: Pairs = (("{other}", "{effect}"),)

TEMPLATES = (
    Template("negation", "case report", "There was no evidence of {effect} during treatment with {drug}.", (), _EFFECT),
    Template("negation", "nurse call", "Patient called back, still on {drug}, no {effect}.", (), _EFFECT),
    Template("negation", "pharmacist note", "Asked about {effect} with {drug}; the answer was no.", (), _EFFECT),
    Template(
        "negation",
        "discharge note",
        "Without any headache, yet with marked {effect} since {drug} was introduced.",
        _EFFECT,
        (("{drug}", "headache"),),
    ),
    Template(
        "negation", "telegram", "{Effect} on {drug}, no fever.", (("{drug}", "{Effect}"),), (("{drug}", "fever"),)
    ),
    Template("negation", "spontaneous report", "The patient never recovered from the {effect} due to {drug}.", _EFFECT),
    Template(
        "history", "discharge note", "Past medical history: {condition}, {effect} with {drug} in 2008.", (), _EFFECT
    ),
    Template("history", "telegram", "ADR list (old): {drug} - {effect}; here for knee injury.", (), _EFFECT),
    Template(
        "history",
        "case report",
        "Ten years earlier the patient had had {effect} on {drug}, an episode unrelated to the present admission.",
        (),
        _EFFECT,
    ),
    Template(
        "history",
        "spontaneous report",
        "With a history of {condition}, the patient developed {effect} after {drug} was started.",
        _EFFECT,
        _FOR,
    ),
    Template(
        "history",
        "nurse call",
        "Has had {condition} for years, and now {effect} since we started {drug} last week.",
        _EFFECT,
        _FOR,
    ),
    Template(
        "family", "discharge note", "Family history is significant for {effect} on {drug} in his mother.", (), _EFFECT
    ),
    Template(
        "family", "patient post", "My grandmother had {effect} from {drug}, and now they want me on it.", (), _EFFECT
    ),
    Template("family", "pharmacist note", "Declines {drug} because a brother had {effect} on it.", (), _EFFECT),
    Template("family", "nurse call", "Husband calling: she has {effect} since starting {drug}.", _EFFECT),
    Template(
        "family",
        "spontaneous report",
        "The patient's mother reported {effect} in her daughter following {drug}.",
        _EFFECT,
    ),
    Template("hypothetical", "discharge note", "Please call the clinic if {effect} develops on {drug}.", (), _EFFECT),
    Template("hypothetical", "pharmacist note", "Patient informed that {drug} can lead to {effect}.", (), _EFFECT),
    Template("hypothetical", "case report", "In susceptible persons {drug} could provoke {effect}.", (), _EFFECT),
    Template("hypothetical", "telegram", "Watch for {effect} w/ {drug}.", (), _EFFECT),
    Template(
        "hypothetical",
        "discharge note",
        "The {effect} about which he had been counselled did occur on {drug}.",
        _EFFECT,
    ),
    Template(
        "hypothetical", "patient post", "Read that {drug} can do this, and sure enough now I have {effect}.", _EFFECT
    ),
    Template("indication", "discharge note", "{Drug} daily for {condition}.", (), (("{Drug}", "{condition}"),)),
    Template("indication", "spontaneous report", "Therapy with {drug} was initiated because of {condition}.", (), _FOR),
    Template("indication", "nurse call", "Needs a refill of {drug}, which she takes for {condition}.", (), _FOR),
    Template(
        "indication",
        "case report",
        "{Effect} developed in a patient who was receiving {drug} for {condition}.",
        (("{drug}", "{Effect}"),),
        _FOR,
    ),
    Template(
        "indication", "pharmacist note", "On {drug} for {condition}, complains of {effect} from it.", _EFFECT, _FOR
    ),
    Template(
        "therapeutic", "discharge note", "{Condition} well controlled on {drug}.", (), (("{drug}", "{Condition}"),)
    ),
    Template(
        "therapeutic", "case report", "Treatment with {drug} led to sustained improvement of the {condition}.", (), _FOR
    ),
    Template(
        "therapeutic",
        "patient post",
        "{Drug} has really helped with the {condition}.",
        (),
        (("{Drug}", "{condition}"),),
    ),
    Template(
        "therapeutic",
        "spontaneous report",
        "{Condition} responded to {drug}, but {effect} developed as a reaction to it.",
        _EFFECT,
        (("{drug}", "{Condition}"),),
    ),
    Template(
        "therapeutic",
        "telegram",
        "{Condition} better on {drug}; {effect} since, tx stopped.",
        _EFFECT,
        (("{drug}", "{Condition}"),),
    ),
    Template("uncertainty", "case report", "The {effect} was possibly caused by {drug}.", _EFFECT),
    Template(
        "uncertainty", "spontaneous report", "Reporter's opinion: {drug} probably responsible for {effect}.", _EFFECT
    ),
    Template(
        "uncertainty", "pharmacist note", "Suspect {drug} as the culprit for {effect}; prescriber notified.", _EFFECT
    ),
    Template(
        "uncertainty",
        "spontaneous report",
        "In the investigator's opinion the {effect} was unlikely to be due to {drug}.",
        (),
        _EFFECT,
    ),
    Template(
        "uncertainty",
        "discharge note",
        "{Effect}, cause not established; takes {drug} and {other}.",
        (),
        (("{drug}", "{Effect}"), ("{other}", "{Effect}")),
    ),
    Template("uncertainty", "telegram", "{Effect}: {drug} ruled out as cause.", (), (("{drug}", "{Effect}"),)),
    Template(
        "two-drugs",
        "case report",
        "{Effect} was attributed to {drug} and not to {other}.",
        (("{drug}", "{Effect}"),),
        (("{other}", "{Effect}"),),
    ),
    Template(
        "two-drugs",
        "discharge note",
        "{Drug} was stopped because of {effect} and {other} was started in its place.",
        (("{Drug}", "{effect}"),),
        _OTHER,
    ),
    Template(
        "two-drugs",
        "pharmacist note",
        "{Effect} appeared with {drug}, whereas {other} has been well tolerated.",
        (("{drug}", "{Effect}"),),
        (("{other}", "{Effect}"),),
    ),
    Template(
        "two-drugs", "nurse call", "She had been fine on {other}, then came {effect} with the {drug}.", _EFFECT, _OTHER
    ),
    Template(
        "two-drugs",
        "spontaneous report",
        "Suspect product {drug}, reaction {effect}; concomitant product {other}.",
        _EFFECT,
        _OTHER,
    ),
    Template("two-drugs", "telegram", "On {drug} + {other}, no {effect}.", (), _EFFECT + _OTHER),
    Template("plain", "telegram", "{Effect} 2 d p {drug}.", (("{drug}", "{Effect}"),)),
    Template("plain", "patient post", "{Drug} gave me {effect}.", (("{Drug}", "{effect}"),)),
    Template("plain", "nurse call", "Calling about {effect} that started after the first dose of {drug}.", _EFFECT),
    Template("plain", "discharge note", "{Drug} discontinued owing to {effect}.", (("{Drug}", "{effect}"),)),
    Template("plain", "spontaneous report", "A consumer had {effect} while on {drug}.", _EFFECT),
    Template("plain", "case report", "{Effect} is a labelled reaction of {drug}.", (), (("{drug}", "{Effect}"),)),
    Template("plain", "pharmacist note", "Dispensed {drug} for the second month, no change in dose."),
)


def _filled(pairs: Pairs, words: dict[str, str]) -> tuple[Blame, ...]:
    return tuple(Blame(drug.format(**words), effect.format(**words)) for drug, effect in pairs)


def templated() -> list[Item]:
    """All items made from templates, in order of kind and template."""
    items: list[Item] = []
    numbers: Counter[str] = Counter()
    for place, template in enumerate(TEMPLATES):
        for copy in range(POSITIVE_COPIES if template.asserted else NEGATIVE_COPIES):
            filler = FILLERS[(place * _STRIDES[0] + copy * _STRIDES[1]) % len(FILLERS)]
            words = dict(zip(Filler._fields, filler, strict=True))
            words |= {name.capitalize(): value[0].upper() + value[1:] for name, value in words.items()}
            numbers[template.kind] += 1
            items.append(
                Item(
                    id=f"{template.kind}-t{numbers[template.kind]:02}",
                    kind=template.kind,
                    origin="template",
                    register=template.register,
                    text=template.text.format(**words),
                    asserted=_filled(template.asserted, words),
                    denied=_filled(template.denied, words),
                )
            )
    return items


if __name__ == "__main__":
    for item in templated():
        print(msgspec.json.encode(item).decode())
