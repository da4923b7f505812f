"""Small closed lists that skeletons draw from."""

from __future__ import annotations


def _list(text: str) -> tuple[str, ...]:
    return tuple(" ".join(word.split()) for word in text.split(",") if word.strip())


LAY_EFFECTS = _list(
    """nausea, dizziness, dizzy spells, headaches, bad headaches, brain fog, insomnia, weight gain, dry mouth, stomach
    cramps, diarrhea, constipation, loss of appetite, night sweats, hot flashes, itching, itchy skin, hives, a rash
    all over, red blotches, swollen lips, swollen ankles, puffy face, leg cramps, muscle aches, joint pain, back
    pain, tingling in my fingers, numb hands, shaky hands, tremors, heart racing, palpitations, chest tightness,
    shortness of breath, dry cough, ringing in the ears, blurry vision, vivid dreams, nightmares, panic
    attacks, mood swings, feeling numb, crying spells, loss of libido, low sex drive, hair loss, hair falling
    out, fatigue, extreme tiredness, drowsiness, sleepiness, feeling like a zombie, memory loss, trouble
    concentrating, confusion, vomiting, throwing up, heartburn, upset stomach, stomach pain, bloating,
    nosebleeds, easy bruising, mouth sores, metallic taste, acne, sun sensitivity, fainting, fainting spells,
    low blood pressure, high blood sugar, restless legs, jitters, agitation, anger, sweating, chills, fever, a
    sore arm, brain zaps, yellow eyes, dark urine"""
)
CLINICAL_EFFECTS = _list(
    """rash, diffuse rash, pruritus, urticaria, hives, angioedema, facial swelling, lip swelling, anaphylaxis, nausea,
    emesis, vomiting, diarrhea, loose stools, constipation, abdominal pain, GI upset, GI bleed, melena,
    epistaxis, bleeding, bruising, dizziness, lightheadedness, syncope, orthostatic hypotension, hypotension,
    bradycardia, tachycardia, palpitations, QT prolongation, chest pain, dyspnea, wheezing, bronchospasm, dry
    cough, cough, edema, lower extremity edema, hyperkalemia, hypokalemia, hyponatremia, hypoglycemia,
    hyperglycemia, acute kidney injury, elevated creatinine, elevated LFTs, transaminitis, jaundice, hepatitis,
    pancreatitis, myalgias, muscle cramps, rhabdomyolysis, weakness, fatigue, sedation, somnolence, confusion,
    delirium, agitation, hallucinations, insomnia, headache, tremor, seizure, dystonia, akathisia, paresthesias,
    neuropathy, tinnitus, hearing loss, blurred vision, neutropenia, thrombocytopenia, anemia, leukopenia,
    fever, chills, injection site reaction, mouth ulcers, thrush, C. diff colitis, urinary retention, erectile
    dysfunction, weight gain, alopecia, photosensitivity, serotonin syndrome, Stevens-Johnson syndrome"""
)
COMMON_DRUGS = _list(
    """lisinopril, metformin, atorvastatin, simvastatin, amlodipine, metoprolol, losartan, hydrochlorothiazide, HCTZ,
    furosemide, Lasix, warfarin, Coumadin, heparin, Lovenox, apixaban, Eliquis, Plavix, aspirin, ASA, ibuprofen,
    Motrin, naproxen, Aleve, Tylenol, acetaminophen, codeine, morphine, oxycodone, Percocet, Vicodin, tramadol,
    Dilaudid, fentanyl, gabapentin, Lyrica, Cymbalta, Zoloft, sertraline, Prozac, Paxil, Lexapro, Celexa,
    Effexor, Wellbutrin, trazodone, Seroquel, Abilify, Zyprexa, Risperdal, lithium, Depakote, Lamictal,
    Dilantin, Keppra, Tegretol, Topamax, Ambien, Xanax, Ativan, Adderall, Ritalin, penicillin, amoxicillin,
    Augmentin, Keflex, Bactrim, sulfa, ciprofloxacin, Cipro, Levaquin, azithromycin, doxycycline, vancomycin,
    clindamycin, nitrofurantoin, metronidazole, fluconazole, prednisone, Medrol, insulin, Lantus, glipizide,
    Januvia, Ozempic, omeprazole, Protonix, Zofran, Reglan, Benadryl, Zyrtec, albuterol, Advair, methotrexate,
    Humira, Remicade, Enbrel, levothyroxine, allopurinol, colchicine, Fosamax, tamoxifen, paclitaxel, cisplatin,
    carboplatin, rituximab, Herceptin, Keytruda, IV contrast, flu vaccine, hepatitis B vaccine, MMR, tetanus
    shot, statins, the antibiotic, the statin, the ACE inhibitor, the beta blocker, the blood thinner, the water
    pill, birth control pills"""
)
DISEASES = _list(
    """hypertension, type 2 diabetes, atrial fibrillation, depression, anxiety, epilepsy, asthma, COPD, migraine,
    rheumatoid arthritis, osteoarthritis, gout, psoriasis, eczema, hypothyroidism, hyperlipidemia, heart
    failure, coronary artery disease, pneumonia, a urinary tract infection, cellulitis, sinusitis, otitis media,
    strep throat, tuberculosis, HIV infection, hepatitis C, breast cancer, ovarian cancer, lymphoma, acute
    myeloid leukemia, multiple myeloma, schizophrenia, bipolar disorder, ADHD, Parkinson's disease, multiple
    sclerosis, Crohn's disease, ulcerative colitis, GERD, osteoporosis, insomnia, chronic pain, low back pain,
    neuropathic pain, deep vein thrombosis, a renal transplant, lupus nephritis, malaria, acne, glaucoma, BPH,
    overactive bladder, menorrhagia, endometriosis, anemia, sickle cell disease, obesity"""
)
PERSON_SLOTS = ("Pt", "pt", "poss", "obj")
PERSONS = (
    ("Pt", "pt", "pt's", "pt"),
    ("Patient", "patient", "patient's", "patient"),
    ("The patient", "the patient", "the patient's", "the patient"),
    ("This patient", "the patient", "the patient's", "the patient"),
    ("She", "she", "her", "her"),
    ("He", "he", "his", "him"),
)
WORDS: dict[str, tuple[str, ...]] = {
    "disease": DISEASES,
    "age": tuple(str(n) for n in range(19, 90, 3)),
    "man": _list("man, woman, male, female, gentleman, lady"),
    "relative": _list(
        "mother, father, sister, brother, aunt, uncle, grandmother, grandfather, son, daughter, wife, husband"
    ),
    "dose": _list(
        "10 mg, 20 mg, 5 mg, 50 mg, 100 mg, 250 mg, 500 mg, 1 g, 2.5 mg, 40 mg, 0.5 mg, 25 mcg, 300 mg, 75 mg"
    ),
    "often": _list("daily, bid, BID, tid, qhs, once a day, twice daily, every 8 hours, prn, weekly, q12h, at bedtime"),
    "time": _list(
        """2 days, three days, 5 days, one week, 10 days, two weeks, 3 weeks, a month, 6 weeks, two months, 3 months,
        half a year, 24 hours, 48 hours, 36 hours, four days"""
    ),
    "soon": _list("30 minutes, an hour, 2 hours, 20 minutes, a few hours, 6 hours, 90 minutes, ten minutes"),
    "year": tuple(str(year) for year in range(1994, 2022)),
    "ago": _list(
        "10 years ago, as a child, in her twenties, many years ago, in the past, in college, years ago, in childhood"
    ),
    "day": _list(
        "Monday, Tuesday, yesterday, last night, this morning, on Friday, last week, two days ago, on 3/14, 11/02"
    ),
    "n": tuple(str(n) for n in range(2, 12)),
    "percent": _list("1%, 2.3%, 4%, 6%, 11%, 15%, 0.4%, 8.5%"),
    "who": _list(
        "MD, the physician, the pharmacist, the on-call doctor, Dr. Lee, the resident, the clinic, PCP, oncology"
    ),
}

# What stands around a clause and says nothing of harm: before it, after it.
BEFORE: dict[str, tuple[str, ...]] = {
    "note": (
        "Of note, ",
        "Per the outside records, ",
        "At follow-up today, ",
        "As above, ",
        "On further questioning, ",
        "Per the {relative}, ",
        "At the visit in {year}, ",
        "{age}-year-old {man} seen for {disease}; ",
        "In summary, ",
    ),
    "telegram": ("{day}: ", "f/u: ", "{age}yo, {disease}; ", "HD#{n}: ", "a/p: ", "VSS; ", "per ED: ", "phone f/u - "),
    "section": ("HPI: ", "INTERVAL: ", "{n}. ", "NOTES: ", "S: ", "COMMENTS: "),
    "abstract": (
        "CONCLUSIONS: ",
        "RESULTS: ",
        "In {year}, ",
        "In our centre, ",
        "Interestingly, ",
        "On day {n}, ",
        "Here, ",
    ),
    "patient": ("Hi, ", "Well, ", "so ", "Honestly, ", "Day {n}: ", "I am {age}. ", "Quick update: ", "Dr. Lee, "),
    "nurse": ("RN note: ", "{day}: ", "TC from pt: ", "Triage: ", "0730: ", "Per {who}: ", "FYI {who}: ", "Room {n}: "),
    "report": (
        "{year}: ",
        "From the initial report: ",
        "Info from {who}: ",
        "Follow-up: ",
        "On day {n} ",
        "Per the consumer, ",
    ),
}
AFTER: dict[str, tuple[str, ...]] = {
    "note": (
        "; follow-up in {time}",
        ", and labs are pending",
        "; the plan was reviewed with the {relative}",
        ", per the {relative}",
        "; {pt} also has {disease}",
        "; vital signs are stable",
    ),
    "telegram": ("; rtc {time}", ", d/w {who}", "; VSS", "; labs pending", ", f/u {time}", "; PMH {disease}"),
    "section": ("; see HPI", " (reviewed {day})", "; {disease} stable", "; recheck in {time}"),
    "abstract": ("", ", and follow-up was {time}", " in a {man} with {disease}", " (n = {n})"),
    "patient": (" lol", ", thanks", ". I'm {age}.", ", just saying", ". Anyone else on it for {disease}?", "..."),
    "nurse": (
        ", {who} aware",
        "; appt {day}",
        ", will follow up in {time}",
        ", charted",
        "; pt verbalizes understanding",
    ),
    "report": ("; lot unknown", ", per {who}", ". Medical history {disease}.", "; no further information", ", {year}"),
}
