"""Notes and narratives to sentences: character ranges, in order, found by rules.

Three kinds of text come in. Abstract-like prose; clinical notes with headings, bullet lists and lines; and the telegram
style of old VAERS narratives ("fever 103;17DEC pt exp ..."), whose clauses are joined by semicolons without a space.
Ranges exclude surrounding whitespace and a list item's bullet. A text without a sentence gives no range.

Why not a library: see docs/decisions/sentences.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Range = tuple[int, int]

MAX_CHARACTERS = 1000  # a longer "sentence" is cut at a space: one message must not become one endless model input


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words after which a full stop is part of the word. Lower case, without the stop.
ABBREVIATIONS = _words(
    """
    dr mr mrs ms prof st jr sr pt pts no nos vs viz cf eg ie etc approx ca resp esp incl al fig figs tab ref refs eq
    vol ed eds dept univ inc ltd co corp jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
    e.g i.e p.o i.v i.m s.c b.i.d t.i.d q.i.d q.d q.h p.r.n a.m p.m u.s u.k ph.d m.d hx dx tx rx sx temp wt ht spp sp
    subsp var cv gen
    """
)
# Of these some end sentences as often as not; a capital after them decides for a new sentence.
_MAY_END = _words("etc al pt pts a.m p.m b.i.d t.i.d q.i.d q.d p.r.n p.o i.v i.m s.c m.d ph.d dx hx tx rx sx")

_STOP = re.compile(
    r"""
    (?<=[.!?]) (?P<close>["')\]’”]*) \s+ (?=["'(\[“‘]*[A-Z0-9•])   # a stop, white space, something that may open
    | ; (?=[^\s;])                                                # the semicolon of a telegram
    """,
    re.VERBOSE,
)
_WORD_BEFORE = re.compile(r"([^\s(\[\"']+)\.[\"')\]’”]*$")
_BULLET = re.compile(r"(?:[-–—*•·▪◦‣o]|\(?\d{1,2}[.)]|[a-z][.)])\s+(?=\S)")
_HEADING = re.compile(r"[A-Z][A-Z0-9 /&,()'-]{2,60}:?$|[A-Z][\w /&,()'-]{1,60}:$")
_LONG_LINE = 60  # a line this long that ends in the middle of a sentence was wrapped by a machine


def sentence_ranges(text: str) -> list[Range]:
    """Character ranges `[start, end)` of the sentences of a text.

    >>> text = "PLAN:\\n- Stop naproxen 250 mg b.i.d. today.\\n- Dr. Lee was told. See in 2 weeks."
    >>> [text[a:b] for a, b in sentence_ranges(text)]
    ['PLAN:', 'Stop naproxen 250 mg b.i.d. today.', 'Dr. Lee was told.', 'See in 2 weeks.']
    """
    return [
        part
        for start, end in _blocks(text)
        for sentence in _sentences(text, start, end)
        for part in _bounded(text, *sentence)
    ]


def sentences_of(text: str) -> list[str]:
    """The sentences themselves."""
    return [text[start:end] for start, end in sentence_ranges(text)]


def _blocks(text: str) -> Iterator[Range]:
    """Stretches that no sentence crosses: paragraphs, list items, headings, lines that stand for themselves."""
    start = 0
    for line_start, line_end in _line_breaks(text):
        if _breaks(text[start:line_start], text[line_end : line_end + 80]):
            yield start, line_start
            start = line_end
    yield start, len(text)


def _line_breaks(text: str) -> Iterator[Range]:
    """Each run of line ends: where it starts, and where the text goes on."""
    for match in re.finditer(r"\s*\n\s*", text):
        yield match.span()


def _breaks(before: str, after: str) -> bool:
    """Whether a line end between these two ends the sentence too."""
    line = before.rpartition("\n")[2].strip()
    if not line or not after:
        return True
    if _BULLET.match(after) or _HEADING.match(after.partition("\n")[0].strip()) or _HEADING.match(line):
        return True
    return line[-1] in ".!?:;" or (len(line) < _LONG_LINE and not after[0].islower())


def _sentences(text: str, start: int, end: int) -> Iterator[Range]:
    begin = start
    for match in _STOP.finditer(text, start, end):
        if text[match.start()] == ";":
            if text.rfind("(", begin, match.start()) > text.rfind(")", begin, match.start()):
                continue  # t(8;16)(p11;p13)
            yield from _trimmed(text, begin, match.start())
            begin = match.end()
        elif not _abbreviates(text[begin : match.start()]):
            yield from _trimmed(text, begin, match.end("close"))
            begin = match.end()
    yield from _trimmed(text, begin, end)


def _abbreviates(before: str) -> bool:
    """Whether the stop at the end belongs to an abbreviation or to the initial of a name."""
    found = _WORD_BEFORE.search(before)
    if found is None:
        return False
    word = found.group(1)
    if word.isdigit() and found.start(1) == 0:
        return True  # "2. Before this, ...": a list's number
    if len(word) == 1 and word.isalpha():
        return word.isupper() and word != "I" and found.start(1) > 0
    lowered = word.lower()
    return lowered in ABBREVIATIONS and lowered not in _MAY_END


def _trimmed(text: str, start: int, end: int) -> Iterator[Range]:
    """The range without surrounding whitespace and leading bullet; nothing if nothing is left."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    bullet = _BULLET.match(text, start, end)
    if bullet and "\n" in text[max(0, start - 40) : start]:
        start = bullet.end()
    if start < end:
        yield start, end


def _bounded(text: str, start: int, end: int) -> Iterator[Range]:
    while end - start > MAX_CHARACTERS:
        space = text.rfind(" ", start + MAX_CHARACTERS // 2, start + MAX_CHARACTERS)
        cut = space if space > 0 else start + MAX_CHARACTERS
        yield from _trimmed(text, start, cut)
        start = cut
    yield from _trimmed(text, start, end)
