"""Drugs, events and people of the generated year.

Four drugs are inventions (no such name is in RxNorm, DrugBank or Drugs@FDA); the others are everyday generic names that
stand here for themselves in made-up reports. Weights are ours and mean nothing outside the demo.
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from streams.events import Patient, Sex

PLANTED_DRUG: Final = "tavonexin"
PLANTED_EVENT: Final = "pancreatitis"
LISTED_DRUG: Final = "lisinopril"  # its label says so; the monitor lists the pair
LISTED_EVENT: Final = "cough"
LISTED_SHARE: Final = 0.25


class Drug(NamedTuple):
    """How often it is the suspect in reports on children and on adults, what for, and a usual dose."""

    child: float
    adult: float
    indication: str
    dose: str


DRUGS: Final[dict[str, Drug]] = {
    "amoxicillin": Drug(20, 6, "otitis media", "500 mg three times a day"),
    "ibuprofen": Drug(16, 7, "back pain", "400 mg as needed"),
    "paracetamol": Drug(18, 5, "osteoarthritis", "1 g twice a day"),
    "salbutamol": Drug(10, 3, "asthma", "two puffs as needed"),
    "ciprofloxacin": Drug(2, 5, "urinary tract infection", "500 mg twice a day"),
    "atorvastatin": Drug(0, 8, "hypercholesterolaemia", "20 mg at night"),
    "metformin": Drug(1, 8, "type 2 diabetes", "850 mg twice a day"),
    "lisinopril": Drug(0, 7, "hypertension", "10 mg daily"),
    "amlodipine": Drug(0, 6, "hypertension", "5 mg daily"),
    "furosemide": Drug(1, 4, "heart failure", "40 mg in the morning"),
    "warfarin": Drug(0, 5, "atrial fibrillation", "3 mg daily"),
    "omeprazole": Drug(2, 6, "reflux disease", "20 mg daily"),
    "sertraline": Drug(1, 6, "depression", "50 mg daily"),
    "gabapentin": Drug(1, 5, "neuropathic pain", "300 mg three times a day"),
    "levothyroxine": Drug(1, 4, "hypothyroidism", "75 micrograms daily"),
    "prednisolone": Drug(4, 4, "polymyalgia rheumatica", "15 mg daily"),
    "methotrexate": Drug(1, 4, "rheumatoid arthritis", "15 mg weekly"),
    "tavonexin": Drug(0, 4.5, "obesity", "5 mg weekly"),
    "brelcapine": Drug(1, 4, "migraine", "60 mg daily"),
    "nerimodol": Drug(2, 4, "chronic pain", "50 mg twice a day"),
    "quelastat": Drug(0, 3.5, "gout", "80 mg daily"),
}

# Weight in reports on children and on adults.
EVENTS: Final[dict[str, tuple[float, float]]] = {
    "nausea": (6, 11),
    "vomiting": (10, 6),
    "diarrhoea": (9, 8),
    "headache": (5, 9),
    "dizziness": (2, 8),
    "rash": (14, 7),
    "pruritus": (6, 5),
    "urticaria": (8, 4),
    "fatigue": (3, 8),
    "pyrexia": (12, 3),
    "dyspnoea": (3, 4),
    "abdominal pain": (5, 5),
    "constipation": (2, 4),
    "insomnia": (2, 4),
    "somnolence": (3, 4),
    "anxiety": (1, 3),
    "hypotension": (0.5, 2.5),
    "tachycardia": (1.5, 2),
    "arthralgia": (0.5, 3.5),
    "myalgia": (0.5, 4),
    "cough": (2, 1.6),
    "hyponatraemia": (0.1, 1.2),
    "hypoglycaemia": (0.5, 1.2),
    "thrombocytopenia": (0.4, 0.9),
    "neutropenia": (0.4, 0.8),
    "hepatitis": (0.2, 0.8),
    "angioedema": (0.6, 0.9),
    "anaphylaxis": (1, 0.8),
    "seizure": (1.5, 0.8),
    "syncope": (0.5, 1.5),
    "alopecia": (0.2, 1.2),
    "pancreatitis": (0.05, 0.25),
}

REGIONS: Final = ("north", "east", "south", "west", "capital", "islands")
_CHILD_EVENTS = ([weights[0] for weights in EVENTS.values()], [weights[1] for weights in EVENTS.values()])
_CHILD_DRUGS = ([drug.child for drug in DRUGS.values()], [drug.adult for drug in DRUGS.values()])


def draw_patient(chance: random.Random) -> Patient:
    """Somebody: 80 of 100 are adults, of 6 the age is unknown."""
    kind = chance.choices(("infant", "small child", "child", "adult", "unknown"), (2, 4, 8, 80, 6))[0]
    age: float | None
    if kind == "infant":
        age = round(chance.uniform(0.1, 0.9), 1)
    elif kind == "unknown":
        age = None
    else:
        first, last = {"small child": (1, 5), "child": (6, 17), "adult": (18, 94)}[kind]
        age = chance.randint(first, last)
    sex: Sex = chance.choices(("F", "M", "U"), (54, 43, 3))[0]
    return Patient(age, sex, chance.choice(REGIONS))


def draw_drug(chance: random.Random, patient: Patient) -> str:
    """A suspect drug, by the patient's age."""
    return chance.choices(list(DRUGS), _CHILD_DRUGS[is_adult(patient)])[0]


def draw_events(chance: random.Random, patient: Patient, number: int) -> list[str]:
    """Distinct events by the patient's age; which drug was taken does not matter to them."""
    chosen: dict[str, None] = {}
    while len(chosen) < number:
        chosen[chance.choices(list(EVENTS), _CHILD_EVENTS[is_adult(patient)])[0]] = None
    return list(chosen)


def is_adult(patient: Patient) -> bool:
    """Whether the patient counts as an adult; so does one of unknown age."""
    return patient.age_years is None or patient.age_years >= 18
