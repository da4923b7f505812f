"""One list of augmented sentences out of training sentences, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from training.augment.names import Names, names_of
from training.augment.substitution import substituted
from training.augment.templates import TEMPLATE_KINDS, Skeleton, grow, joined, skeletons
from training.data import Sentence, fold_of, normal_form

# Relative weights: a third exchanged names, two thirds templates. `plain` gives registers reports to balance with.
DEFAULT_KINDS: Mapping[str, float] = {"substitution": 5.0} | dict.fromkeys(TEMPLATE_KINDS, 1.0)
_TRIES = 20  # for one new sentence, before the generator is called exhausted


def augmented(
    sentences: Sequence[Sentence],
    rng: random.Random,
    *,
    share: float = 0.3,
    kinds: Mapping[str, float] = DEFAULT_KINDS,
    names: Names | None = None,
    fold: int | None = 0,
) -> list[Sentence]:
    """About `share` x len(sentences) new sentences (fewer where few can be made), half of them positive.

    `sentences` are training sentences; `kinds` are weights by kind ("substitution" or one of TEMPLATE_KINDS). `names`
    (see `names_of`, which also reads vocabularies) are taken from `sentences` where not given. Skeletons of the
    development fold are not used, so those can test what was learnt. Raises ValueError for an unknown kind, and for a
    document of the development fold among `sentences`.
    """
    unknown = set(kinds) - set(DEFAULT_KINDS)
    if unknown:
        raise ValueError(f"unknown kind(s) {sorted(unknown)}; there are {sorted(DEFAULT_KINDS)}")
    held = {s.document for s in sentences if fold is not None and s.document.isdigit() and fold_of(s.document) == fold}
    if held:
        raise ValueError(f"{len(held)} document(s) of development fold {fold} among the training sentences")
    names = names or names_of(sentences)
    wanted = round(share * len(sentences))
    exchanged = round(wanted * kinds.get("substitution", 0.0) / (sum(kinds.values()) or 1.0))
    usable = [s for s in skeletons() if kinds.get(s.kind) and (fold is None or fold_of(s.document) != fold)]
    seen = {normal_form(s.text) for s in sentences}
    made = _collect(exchanged, seen, _substitutions(sentences, names, rng))
    if usable:
        made += _collect(wanted - exchanged, seen, _templates(usable, kinds, names, rng))
    rng.shuffle(made)
    return made


def unseen(names: Names, rng: random.Random, *, fold: int, kinds: Sequence[str], each: int) -> list[Sentence]:
    """`each` sentences of every skeleton of these kinds that `augmented` keeps out of training with this fold."""
    held = [s for s in skeletons() if s.kind in kinds and fold_of(s.document) == fold]
    return [grow(skeleton, names, rng) for skeleton in held for _ in range(each)]


def counts_of(sentences: Iterable[Sentence]) -> dict[str, tuple[int, int]]:
    """Positives and negatives by corpus, in alphabetical order: what a run reports of its augmentation."""
    counts = Counter((s.corpus, s.positive) for s in sentences)
    return {corpus: (counts[corpus, True], counts[corpus, False]) for corpus in sorted({c for c, _ in counts})}


def _collect(wanted: int, seen: set[str], make: Callable[[], Sentence | None]) -> list[Sentence]:
    made: list[Sentence] = []
    failures = 0
    while len(made) < wanted and failures < _TRIES * (wanted + 1):
        sentence = make()
        key = normal_form(sentence.text) if sentence else ""
        if sentence is None or key in seen:
            failures += 1
            continue
        seen.add(key)
        made.append(sentence)
    return made


def _substitutions(sentences: Sequence[Sentence], names: Names, rng: random.Random) -> Callable[[], Sentence | None]:
    pools = [pool for label in (False, True) if (pool := [s for s in sentences if s.positive is label])]

    def make() -> Sentence | None:
        pool = rng.choice(pools)  # the label first: most negatives name no drug, and they are to be half of all
        tried = (substituted(rng.choice(pool), names, rng) for _ in range(_TRIES))
        return next((sentence for sentence in tried if sentence), None)

    return make


def _templates(
    usable: Sequence[Skeleton], kinds: Mapping[str, float], names: Names, rng: random.Random
) -> Callable[[], Sentence | None]:
    """Register, label, kind, skeleton, in this order: so labels balance in each register. One in six is two in one."""
    tree: dict[str, dict[bool, dict[str, list[Skeleton]]]] = {}
    for skeleton in usable:
        labels = tree.setdefault(skeleton.register, {})
        labels.setdefault(skeleton.positive, {}).setdefault(skeleton.kind, []).append(skeleton)

    def grown(register: str, label: bool) -> Sentence:
        by_kind = tree[register][label]
        present = sorted(by_kind)
        (kind,) = rng.choices(present, [kinds[kind] for kind in present])
        return grow(rng.choice(by_kind[kind]), names, rng)

    def make() -> Sentence:
        register = rng.choice(sorted(tree))
        label = rng.choice(sorted(tree[register]))
        sentence = grown(register, label)
        if register == "abstract" or False not in tree[register] or rng.random() > 1 / 6:
            return sentence
        second = grown(register, False)
        return joined(sentence, second, rng) if rng.random() < 0.5 else joined(second, sentence, rng)

    return make
