"""Which entries of several sources tell the same story; pure.

Two tell the same when their links lead to the same page (``canonical``), or when titles and texts are nearly the same
(``same``).  Of two faults the smaller one is chosen: a story that is taken for two is told twice, but one that is taken
for another is lost.  So what is short, or differs in a number, a date or a name, is another story.

Nobody compares an entry with all others: each leaves ``traces``, a few numbers made from its link and its words, and
only those that share one are looked at.  Of the words they are a bottom-k sketch (A. Broder, On the resemblance and
containment of documents, 1997): of the hashes of all runs of three words the smallest, which texts that have most runs
in common share as well.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from html import unescape
from itertools import islice
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from publisher.model import Item


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


WINDOW = timedelta(days=3)
"""How far apart, by the dates of their publication, two may tell the same in nearly the same words."""
TRACKING = r"utm_\w+|fbclid|gclid|dclid|msclkid|mc_[ce]id|igshid|yclid|_hsenc|_hsmi"
"""Parameters that say where a reader comes from.  ``collect.link_key`` makes identities without them, which are stored:
what is found to be one later belongs into ``_MORE``."""

_MORE = (
    r"gbraid|wbraid|gclsrc|_ga|_gl|twclid|ttclid|li_fat_id|igsh|mkt_tok|vero_id|wt_mc|wt_zmc|xtor|cmpid|ito|ref_src"
    r"|at_(?:medium|campaign|link_\w+|format|ptr_name|bbc_team)|ns_(?:mchannel|source|campaign|linkname|fee)|ocid|smid"
    r"|amp(?:_\w+)?|usqp"
)
_DROPPED = re.compile(f"{TRACKING}|{_MORE}", re.IGNORECASE)
_AMP_OUTPUT = ("output", "outputtype", "_format", "view")
_VARIANTS = frozenset(("www", "m", "mobile", "amp"))
_CACHE = re.compile(r"(?:[\w-]+\.)*(?:cdn\.ampproject\.org|bing-amp\.com)")
_CACHED = re.compile(r"/(?:[a-z]/)?(?:s/)?([^/]+\.[^/]+/.*)")
_VIEWER = re.compile(r"(?:www\.)?google\.[a-z]{2,3}(?:\.[a-z]{2})?")
_VIEWED = re.compile(r"/amp/(?:s/)?([^/]+\.[^/]+/.*)")
_ENDS = re.compile(
    r"(?:^/amp(?=/)|/amp/?$|(?<=.)\.amp(?=(?:\.html?)?$)|/index\.(?:x?html?|php|aspx?)$|/$)", re.IGNORECASE
)
_PASSING = re.compile(r":~:.*|^(?:xtor|ref|echobox|utm_\w+|at_\w+)=.*", re.IGNORECASE | re.DOTALL)

_RUN = 3
"""Words in a shingle."""
_SKETCH = 4
"""So many of a text's smallest hashes are traces…"""
_TITLE_SKETCH = 2
_BEGINNING = 40
"""…of so many of its first words: a teaser begins as the whole text does."""
_READ = 1_200
"""Characters of HTML that are read for them."""
_MOST_READ = 12_000
_MOST_WORDS = 400
"""As much of a text is compared with another."""

_LEAST = 16
"""With fewer words a text says too little to be known by."""
_LONG = 60
"""From so many words on, an edit here and there does not make another story of it, if it is in no name and number."""
_LEAST_TITLE = 3
_ADDED = 6
"""Words that one title may have besides those of the other: a kicker, the name of a paper."""
_DENIAL = 3
"""Words that it takes to deny something."""
_EDGE = 15
"""Words before and after what two texts share that are looked at: more than that is an address or an imprint."""

_EACH = 8
"""So many entries at most leave the same trace: what more of them have in common is boilerplate."""
_CANDIDATES = 6
"""So many entries at most are compared with one."""

_MARKUP = re.compile(r"<[^>]*>")
_WORD = re.compile(r"\d[\d.,:/]*\d|\w+")
_DATELINE = re.compile(r"^\W*(?:[^\W\d][\w ./,-]{1,40})?\([A-Za-z/ ,.-]{2,24}\)\s*[-\u2010-\u2015:]\s*")
_CALL = re.compile(
    r"(?:(?:read|continue|learn) (?:more|on|reading)|weiterlesen|mehr lesen|lire la suite|leer m[aá]s|lees verder"
    r"|the post .{1,300} (?:appeared first|first appeared) on).*$",
    re.IGNORECASE | re.DOTALL,
)
_CALL_LENGTH = 400
_SENTENCE_END = re.compile(r"[.!?:\u2026\u00bb\u00ab\u201c\u201d\u201e\"]")
_DATES = _words(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december today tomorrow yesterday tonight montag dienstag mittwoch donnerstag freitag "
    "samstag sonnabend sonntag januar februar märz mai juni juli oktober dezember heute morgen gestern lundi mardi "
    "mercredi jeudi vendredi samedi dimanche janvier février mars avril juin juillet août septembre octobre novembre "
    "décembre lunes martes miércoles jueves viernes sábado domingo enero febrero marzo abril mayo junio julio agosto "
    "septiembre octubre noviembre diciembre lunedì martedì mercoledì giovedì venerdì sabato domenica gennaio febbraio "
    "aprile maggio giugno luglio settembre ottobre dicembre maandag dinsdag woensdag donderdag vrijdag zaterdag zondag "
    "januari februari maart mei augustus segunda terça quarta quinta sexta janeiro fevereiro março junho julho outubro "
    "dezembro"
)
_NEGATIONS = _words("not no never without nicht kein keine keinen nie ohne pas jamais sans non nunca sin niet geen não")

Teller = tuple[str, str]
"""Who tells: the name of a source, and which of the feeds that it lists; empty where it is no list."""


# --- links -----------------------------------------------------------------------------------------------------------


def canonical(link: str) -> str:
    """A link without what differs between two addresses of one page; empty where it leads to no page of its own.

    Without scheme, ``www.``, default port, trailing slash, ``index.html``, tracking parameters and their order; the
    variants for telephones (``m.example.org``) and AMP pages are the page itself, also those in a cache
    (amp.dev/documentation/guides-and-tutorials/learn/amp-caches-and-cors/amp-cache-urls).
    """
    try:
        parts = _uncached(urlsplit(link))
        port = parts.port
    except ValueError:
        return ""
    host = _plain_host(parts.hostname or "")
    path = _plain_path(parts.path)
    query = _plain_query(parts.query)
    if parts.scheme not in ("http", "https") or not host or not (path or query):
        return ""
    fragment = _PASSING.sub("", parts.fragment)
    place = host if port in (None, 80, 443) else f"{host}:{port}"
    return f"{place}{path}{query and '?' + query}{fragment and '#' + fragment}"


def _uncached(parts: SplitResult) -> SplitResult:
    """The address of a page that is shown from a cache; another address as it is."""
    while True:
        host = parts.hostname or ""
        cached = _CACHED if _CACHE.fullmatch(host) else _VIEWED if _VIEWER.fullmatch(host) else None
        inner = cached.fullmatch(parts.path) if cached else None
        if not inner:
            return parts
        parts = urlsplit(f"https://{inner[1]}")._replace(query=parts.query, fragment=parts.fragment)


def _plain_host(host: str) -> str:
    labels = host.rstrip(".").split(".")
    return ".".join([label for label in labels[:-2] if label not in _VARIANTS] + labels[-2:])


def _plain_path(path: str) -> str:
    path = re.sub("/{2,}", "/", quote(unquote(path), safe="/!$&'()*+,:;=@~"))
    while (shorter := _ENDS.sub("", path)) != path:
        path = shorter
    return path


def _plain_query(query: str) -> str:
    pairs = sorted(pair for pair in parse_qsl(query, True) if not _DROPPED.fullmatch(pair[0]) and not _is_amp(pair))
    return urlencode(pairs, errors="replace")


def _is_amp(pair: tuple[str, str]) -> bool:
    return pair[0].lower() in _AMP_OUTPUT and pair[1].lower() == "amp"


# --- texts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """A text as it is compared with another: its words, folded, without punctuation."""

    words: tuple[str, ...]
    telling: frozenset[str] = frozenset()
    """Those of them that are numbers, dates or, by their capitals, names."""

    @cached_property
    def runs(self) -> tuple[tuple[str, ...], ...]:
        """Its shingles, in order."""
        return tuple(zip(*(self.words[start:] for start in range(_RUN)), strict=False))

    @cached_property
    def known(self) -> frozenset[str]:
        """Its words, each once."""
        return frozenset(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """What an entry tells, as it is compared with another."""

    moment: datetime
    """When it was published."""
    language: str = ""
    """The language alone, without a region; empty when unknown."""
    title: Text
    content: Text
    """The whole text; without words where there is none."""
    summary: Text

    @property
    def known(self) -> frozenset[str]:
        """All words in it."""
        return self.title.known | self.content.known | self.summary.known


def tale(item: Item, moment: datetime) -> Tale:
    """What an item tells.

    Args:
        moment: when it was published, as far as that can be believed.
    """
    return Tale(
        moment=moment,
        language=item.language.partition("-")[0].lower(),
        title=text(item.title),
        content=text(_story(item.content)),
        summary=text(_story(item.summary)),
    )


def text(plain: str) -> Text:
    """A plain text, as it is compared."""
    words: list[str] = []
    telling, end = set[str](), 0
    plain = _folded(plain)
    for match in _WORD.finditer(plain):
        written = match[0]
        word = written.casefold()
        begins = not words or _SENTENCE_END.search(plain, end, match.start())
        if not written[0].isalpha() or word in _DATES or (written[0].isupper() and not begins):
            telling.add(word)
        words.append(word)
        end = match.end()
        if len(words) == _MOST_WORDS:
            break
    return Text(tuple(words), frozenset(telling))


def same(one: Tale, other: Tale) -> bool:
    """Whether two tell the same story in nearly the same words.

    Either they have the same title, but for a few words that one of them adds, and the text of one is in the other's;
    or their texts are long and hardly differ.  Never where they differ in a number, a date or a name, nor in any other
    word while the text is short.
    """
    if abs(one.moment - other.moment) > WINDOW or _differ(one.language, other.language) or _at_odds(one, other):
        return False
    titled = _same_title(one.title, other.title)
    if one.content.words and other.content.words:
        return _same_text(one.content, other.content, titled=titled)
    pairs = ((mine, theirs) for mine in (one.content, one.summary) for theirs in (other.content, other.summary))
    return any(_same_text(mine, theirs, titled=titled) for mine, theirs in pairs)


def _differ(one: str, other: str) -> bool:
    return bool(one and other and one != other)


def _at_odds(one: Tale, other: Tale) -> bool:
    """Whether one title denies what the other says, or has a number or date of which the other one knows nothing."""
    denied = (one.title.known ^ other.title.known) & _NEGATIONS
    return bool(denied or _dated(one.title) - other.known or _dated(other.title) - one.known)


def _dated(title: Text) -> set[str]:
    return {word for word in title.known if word in _DATES or any(map(str.isdigit, word))}


def _same_title(one: Text, other: Text) -> bool:
    short, long = sorted((one.words, other.words), key=len)
    if len(short) < _LEAST_TITLE or len(long) - len(short) > _ADDED:
        return False
    rest = iter(long)
    return short == long or (len(short) > _LEAST_TITLE and all(word in rest for word in short))


def _same_text(one: Text, other: Text, *, titled: bool) -> bool:
    short, long = sorted((one, other), key=lambda text: (len(text.words), text.words))
    size = len(short.words)
    if size < (_LEAST if titled else _LONG):
        return False
    mine, theirs = set(short.runs), set(long.runs)
    shared = mine & theirs
    alike = len(shared) / len(mine) if titled else len(shared) / len(mine | theirs)
    if alike < (0.8 if titled and size >= _LONG else 0.85):
        return False
    return not (_denied(short, long) or _replaced(short, long, shared))


def _denied(short: Text, long: Text) -> bool:
    """Whether of two texts that differ in a few words one says no."""
    says = [sum(word in _NEGATIONS for word in text.words) for text in (short, long)]
    return len(long.words) - len(short.words) <= _DENIAL and says[0] != says[1]


def _replaced(short: Text, long: Text, shared: Collection[tuple[str, ...]]) -> bool:
    """Whether, where the texts run side by side, something in one stands for something else in the other."""
    here, there = _core(short, shared, len(short.words)), _core(long, shared, len(short.words) * 5 // 4)
    mine, theirs = set(here) - long.known, set(there) - short.known
    if len(short.words) >= _LONG:
        mine, theirs = mine & short.telling, theirs & long.telling
    return bool(mine and theirs)


def _core(text: Text, shared: Collection[tuple[str, ...]], most: int) -> tuple[str, ...]:
    """The words between the first and the last run that another text shares, and those at the edges if they are few."""
    places = [place for place, run in enumerate(text.runs) if run in shared]
    start, end = places[0], places[-1] + _RUN
    start = 0 if start <= _EDGE else start
    end = len(text.words) if len(text.words) - end <= _EDGE else end
    return text.words[start : min(end, start + most + _EDGE)]


def _story(html: str) -> str:
    """The text of sanitised HTML, without the place and the agency that it begins with and the call it ends with."""
    plain = _plain(html, _MOST_READ)
    end = max(len(plain) - _CALL_LENGTH, 0)
    call = _CALL.search(plain, end)
    return plain[: call.start()] if call else plain


def _plain(html: str, most: int) -> str:
    """The plain text of so many characters of sanitised HTML, without the place and the agency that it begins with.

    Ten times as fast as ``html.plain``.  A ``>`` in an attribute leaves some words of it, as it does wherever the
    same is told.
    """
    cut = html[:most].rpartition(" ")[0] if len(html) > most else html
    return _DATELINE.sub("", _folded(unescape(_MARKUP.sub(" ", cut))), count=1)


def _folded(plain: str) -> str:
    return plain if plain.isascii() else unicodedata.normalize("NFKC", plain)


# --- traces ----------------------------------------------------------------------------------------------------------


def traces(item: Item) -> tuple[int, ...]:
    """By what numbers entries are found that may tell the same: 64 bits with a sign, each once.

    Negative ones are made from links, and good as long as the entry is remembered; the others from words, and good
    within ``WINDOW``.
    """
    link = canonical(item.link)
    found = [-1 - _hash(link)] if link else []
    texts = [words for html in (item.content, item.summary) if len(words := _first_words(html)) >= _LEAST]
    if texts:
        title = _WORD.findall(_folded(item.title).casefold())
        found += _sketch(title, _TITLE_SKETCH)
    for words in texts:
        found += _sketch(words, _SKETCH)
    return tuple(dict.fromkeys(found))


def _first_words(html: str) -> list[str]:
    if not html:
        return []
    return [match[0] for match in islice(_WORD.finditer(_plain(html, _READ).casefold()), _BEGINNING)]


def _sketch(words: Sequence[str], size: int) -> Iterator[int]:
    """The hashes of the runs that come first by another, cheaper hash."""
    runs = {" ".join(run).encode(errors="replace") for run in zip(words, words[1:], words[2:], strict=False)}
    first = sorted((zlib.crc32(run), run) for run in runs)[:size]
    return (_hash(run) for _, run in first)


def _hash(told: str | bytes) -> int:
    """63 bits, the same in every process."""
    raw = told.encode(errors="replace") if isinstance(told, str) else told
    return int.from_bytes(blake2b(raw, digest_size=8).digest()) >> 1


# --- stories ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A trace that an entry has left."""

    value: int
    number: int
    """Of the entry; the rest is of it, too."""
    teller: Teller
    moment: datetime
    story: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """An entry that arrives."""

    number: int
    uid: str
    item: Item
    moment: datetime
    traces: tuple[int, ...]


@dataclass(slots=True)
class Search:
    """Looks for the stories of entries that one teller has brought; in two steps, because texts are loaded in between.

    Args:
        arrivals: in order of arrival.
        found: who has left any of their traces before.
    """

    teller: Teller
    arrivals: Sequence[Newcomer]
    found: Iterable[Trace]
    _by_trace: dict[int, list[Trace]] = field(init=False)
    _own: Counter[int] = field(init=False)
    """How many of the arrivals have each trace."""

    def __post_init__(self) -> None:
        self._by_trace = {}
        for trace in sorted(self.found, key=lambda trace: trace.number):
            self._by_trace.setdefault(trace.value, []).append(trace)
        self._own = Counter(value for arrival in self.arrivals for value in arrival.traces)

    def linked(self, arrival: Newcomer) -> list[Trace]:
        """Who has told of the same page; nobody, where one teller has told several things of it."""
        found = [trace for value in arrival.traces if value < 0 for trace in self._by_trace.get(value, ())]
        tellers = Counter(trace.teller for trace in found)
        tellers[self.teller] += max((self._own[value] for value in arrival.traces if value < 0), default=0)
        return [trace for trace in found if trace.teller != self.teller] if max(tellers.values()) < 2 else []

    def alike(self, arrival: Newcomer) -> list[Trace]:
        """Whose words may be nearly the same, those with most traces in common first."""
        near = [
            trace
            for value in arrival.traces
            if value >= 0
            for trace in self._by_trace.get(value, ())
            if trace.teller != self.teller and abs(trace.moment - arrival.moment) <= WINDOW
        ]
        common = Counter(trace.number for trace in near)
        by_number = {trace.number: trace for trace in near}
        return sorted(by_number.values(), key=lambda trace: (-common[trace.number], trace.number))[:_CANDIDATES]

    def stories(
        self, by_uid: Mapping[str, int], tales: Mapping[int, Tale], told_by: Mapping[int, Collection[Teller]]
    ) -> dict[int, int]:
        """The story of each arrival, by its number: that of an entry that told it before, or its own number.

        What tells it under the same public identity, leads to the same page or says nearly the same tells the same, in
        this order.  But for the first, nobody tells a story twice: who tells two things means two.

        Args:
            by_uid: the stories of public identities.
            tales: what the entries of ``alike`` tell, by their numbers; of some it may be forgotten.
            told_by: who has told the stories of ``linked`` and ``alike``.
        """
        found: dict[int, int] = {}
        named, mine = dict(by_uid), set[int]()
        for arrival in self.arrivals:
            other = (story for story in self._told(arrival, tales) if self.teller not in told_by.get(story, ()))
            story = named.get(arrival.uid) or next((story for story in other if story not in mine), arrival.number)
            found[arrival.number] = named[arrival.uid] = story
            mine.add(story)
        return found

    def _told(self, arrival: Newcomer, tales: Mapping[int, Tale]) -> Iterator[int]:
        yield from (trace.story for trace in self.linked(arrival))
        near = [trace for trace in self.alike(arrival) if trace.number in tales]
        if near:
            own = tale(arrival.item, arrival.moment)
            yield from (trace.story for trace in near if same(own, tales[trace.number]))

    def left(self) -> Iterator[tuple[int, int]]:
        """The traces to keep, and the number of the entry of each: as many of the same as are of use.

        Of a link the second that its teller leaves always is: it shows that the link says nothing.
        """
        kept = Counter({value: len(found) for value, found in self._by_trace.items()})
        mine = Counter(
            trace.value for found in self._by_trace.values() for trace in found if trace.teller == self.teller
        )
        for arrival in self.arrivals:
            for value in arrival.traces:
                is_second = value < 0 and mine[value] == 1
                if is_second or (kept[value] < _EACH and not (value < 0 and mine[value] > 1)):
                    kept[value] += 1
                    mine[value] += 1
                    yield value, arrival.number
