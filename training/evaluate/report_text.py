"""What the page of results says between its tables."""

from __future__ import annotations

DEVELOPMENT = (
    "Intervals: 95%, percentiles of 1,000 bootstrap resamples of whole documents (PsyTAR names no documents: of"
    " sentences).",
    "",
    "- ADE-Corpus-V2 without the sealed part, split by PubMed id into ten folds (seed {seed}); development = fold 0:"
    " {sentences} sentences, {positives} of them positive, of {documents} documents, none of which is in training.",
    "- Sentence F1, ECE, Brier and pairs above the threshold are cross-fitted: the fold's documents are halved, each"
    " half is judged with calibration and thresholds from the other. AUROC, average precision, spans and all pairs need"
    " neither. A threshold is the one of the largest expected F1 under calibrated probabilities.",
    "- DRUG, EFFECT and pair F1: exact characters, positive sentences, micro-averaged; pair F1 takes every drug with"
    " every effect of a sentence. *Overlap*: one shared character is enough, matched one to one. *Above the threshold*:"
    " the pairs that the product counts; *all sentences*: those it finds in sentences without an event count against"
    " it.",
    "- PsyTAR: its published development file, with the shipped calibration and threshold; positive = an adverse"
    " reaction is marked. Withdrawal-only sentences count as negative in the first row, are left out in the second and"
    " count as positive in the third.",
    "- PHEE: its sentences of the development fold's documents, none in training, judged as the fold is: adverse events"
    " against therapeutic effects, as another team saw them (88% of its documents are ADE-Corpus's).",
    "- Baselines: trained on all training sentences of both corpora, same split, calibration and threshold rule."
    " *Frozen*: the mean of all-MiniLM-L6-v2's last layer, logistic regression. They mark no spans.",
    "- The model reads every sentence here: no first stage spares it any.",
    "- One fold's positives are about 320 sentences: differences under two points are noise.",
)

CALIBRATION = (
    "Each scaling fitted on one half of the development documents, judged on the other; ten bins of equal width. An"
    " interval of the ECE lies high: a resample adds noise to every bin, and an absolute value counts noise as error.",
)

NOTES = (
    "MTS-Dialog sections and ACI-Bench notes, split by the product's own splitter; the shipped thresholds. Nobody"
    " annotated adverse events in them. A call on a sentence without any wording that attributes harm (allergy,"
    " adverse, side effect, reaction, due to, caused by, tolerate, ...: `HARM` in `training/evaluate/outside.py`) is a"
    " false alarm; a call on one with such words may be right, and nobody judged which. *With a false pair*: sentences"
    " in which a drug-effect pair is counted. Test: the validation and test files; the training files may have been"
    " read, unlabelled, when a teacher was distilled.",
    "",
    'A sentence is of the first kind that fits. Allergy: in an allergy section, or it says "allerg...". History: in a'
    " section of past medical, surgical, family, social or gynaecological history or immunisations (not of the present"
    " illness). Negation: it holds no, not, denies, without, negative, ... Other: the rest. MTS-Dialog names its"
    " sections, ACI-Bench's are told by their headings. Each distinct sentence counts once.",
)

ROBUSTNESS = (
    "The development fold read again in other words, each change drawn from a hash of the sentence, with calibration"
    " and thresholds of the unchanged sentences. Changes are taken over the same resampled documents. The tokenizer"
    " folds case, so case can change nothing.",
    "",
    "- unseen drugs: every marked drug, and every generic name wherever it stands, becomes one of the generics of"
    " DrugBank and RxNorm that no sentence of the training corpora holds and that are kept from augmentation.",
)

SUBGROUPS = (
    "Gap: the group minus the other groups of its dimension, over the same resampled documents. Age and sex are told"
    ' from the words of a document (a stated age, "neonate", "woman", "his"), drug class from the stem of a drug\'s'
    " name in the sentence (`training/evaluate/subgroups.py` has both rules); documents that say nothing or several"
    " things are in no group. F1 depends on how common positives are; recall and the share of negatives called do not."
    " Some dozens of documents a group: only large gaps can be seen. A dozen gaps are looked at: one of twenty would"
    " leave its interval by chance.",
)

FOLDS = (
    "`vigilia train folds` fits the recipe once a fold, exports and measures it, skipping folds that are done: ten"
    " times the time of a fit and about three minutes of measuring, so three to five hours on two cores. Without a"
    " table here it has not been run for this model.",
)

LIMITS = (
    "- It learnt from abstracts of case reports and from posts of patients on psychiatric drugs. What it does on"
    " clinical notes is in [notes.md](notes.md).",
    "- A sentence is read without its neighbours: a drug in one sentence and its effect in the next are no pair.",
    "- Published figures (.93 sentence F1, .91/.83 and .89/.79 for spans) come from larger models, random splits that"
    " leak repeated sentences, or positive sentences only.",
)
