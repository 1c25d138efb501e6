"""The words of the house as types: frozen dataclasses, no I/O.

All datetimes are aware.  All URLs are absolute.  Text fields are plain text unless the field
says HTML; HTML is sanitised once, by ``collect``, before it is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

Clock = Callable[[], datetime]
"""Tells the present moment, aware, in UTC."""

Cursor = Mapping[str, str]
"""What a source wants to be handed back at its next visit (ETag, new address…); only its kind can read it."""


# --- what comes in ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who wrote an entry.  Any field may be empty, not all of them."""

    name: str = ""
    email: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """A file that belongs to an entry (RSS ``enclosure``, Atom ``link rel=enclosure``, JSON Feed ``attachments``)."""

    url: str
    media_type: str = ""
    length: int = 0
    """Bytes; 0 when the source does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An entry as its source tells it, before the store knows it."""

    guid: str = ""
    """The source's own identity for it; empty when it gives none."""
    link: str = ""
    title: str = ""
    summary: str = ""
    """HTML: the teaser."""
    content: str = ""
    """HTML: the whole text; empty when the source gives only a teaser."""
    authors: tuple[Author, ...] = ()
    tags: tuple[str, ...] = ()
    image: str = ""
    enclosures: tuple[Enclosure, ...] = ()
    published: datetime | None = None
    updated: datetime | None = None
    language: str = ""
    """BCP 47 tag, empty when unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """Where else a story is told."""

    source: str
    title: str
    """What that source is called."""
    link: str = ""
    """The entry's; empty where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Item):
    """One post, article or item, as the store keeps it: its identity never changes."""

    number: int
    """Order of arrival, given by the store; the only order that decides what is new."""
    uid: str
    """Public identity, an IRI, the same in every feed for ever (RFC 4287 section 4.2.6)."""
    source: str
    member: str = ""
    """Of which of the feeds that its source lists; empty where that is not a list."""
    version: int = 1
    """1 when it arrived; one more for each edit."""
    arrived: datetime
    changed: datetime
    """When this version was seen first."""
    backlog: bool = False
    """It was there before we knew the source: published in feeds, never mailed as news."""
    story: int = 0
    """The number of the first entry, of whichever source, that told the same; its own where it is the first."""
    also_in: tuple[Mention, ...] = ()
    """Which other sources of the publication tell the same, those that told it first coming first."""
    section: str = ""
    """The heading that a publication's rules put it under; the store knows of none."""
    pinned: bool = False
    """Whether they put it first."""

    @property
    def moment(self) -> datetime:
        """When it was published, as far as that can be believed: never later than it arrived."""
        return min(self.published or self.arrived, self.arrived)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What a source asks of those who visit it."""

    fresh_for: timedelta | None = None
    """Nothing new is to be expected before (``Cache-Control``, RSS ``ttl``, ``sy:updatePeriod``)."""
    skip_hours: frozenset[int] = frozenset()
    """In UTC: 0 to 23 (RSS 2.0 ``skipHours``)."""
    skip_days: frozenset[int] = frozenset()
    """In UTC, 0 is Monday (RSS 2.0 ``skipDays``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """From when and until when a server's certificate is valid (RFC 5280 section 4.1.2.5)."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """Who pushes the entries of a source the moment they are there, as the source itself says (WebSub section 4)."""

    topic: str
    """By what address the hubs know the source."""
    urls: tuple[str, ...]
    """The hubs, one at least; any of them will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFeed:
    """A feed that a list of feeds names."""

    url: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """What one visit to a source brought back."""

    items: tuple[Item, ...] = ()
    """As the source orders them, newest first by custom."""
    cursor: Cursor = field(default_factory=dict)
    unchanged: bool = False
    """The source said, or its bytes show, that nothing changed; ``items`` is empty and means nothing."""
    gone: bool = False
    """The source is over for good (HTTP 410); it is not visited again."""
    title: str = ""
    """What the source calls itself."""
    link: str = ""
    notes: tuple[str, ...] = ()
    """Oddities that the operator may want to know; none of them is a failure."""
    hints: Hints = Hints()
    certificate: Certificate | None = None
    """That of the server that answered; None where it showed none."""
    hub: Hub | None = None
    """None: nobody pushes its entries."""
    feeds: tuple[ListedFeed, ...] | None = None
    """What a list of feeds names; each is visited for itself, as a part of this source.  None: it does not say."""


# --- what goes out ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The house as its readers see it."""

    title: str
    url: str
    """Every published or mailed address begins with it; no slash at the end."""
    language: str = "en"
    timezone: str = "UTC"
    postal_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A selection of entries, and what is made of it."""

    name: str
    """Its key in config.yaml and its folder under ``feeds/``."""
    title: str
    site: Site
    description: str = ""
    language: str = "en"
    timezone: str = "UTC"
    formats: tuple[str, ...] = ()
    """The feed formats it is published in; the templates link only to those."""
    archive: bool = False
    """Whether anybody may read its past issues in the browser."""
    sections: tuple[str, ...] = ()
    """The headings that its entries may be under, in their order."""

    def address(self, file: str = "") -> str:
        """The public address of one of its files, of its page without one."""
        return f"{self.site.url}/{self.name}/{file}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Voices:
    """Who speaks in a publication, and who is preferred."""

    titles: Mapping[str, str]
    """Its sources by name, each with the title that the configuration gives it; empty where it gives none."""
    prefer: tuple[str, ...] = ()
    """Whose words are taken where several tell the same; where none of these does, those of the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Rendered bytes with a media type: a feed, a page, a mail body."""

    name: str
    """File name: ``rss.xml``, ``mail.html``."""
    media_type: str
    body: bytes

    @property
    def text(self) -> str:
        """The body of a textual document, which is UTF-8 in this house."""
        return self.body.decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A publication that readers can subscribe to by mail, and what they choose of it."""

    publication: Publication
    frequencies: tuple[str, ...] = ()
    """By their names, the default first; none where there is nothing to choose."""
    topics: Mapping[str, str] = field(default_factory=dict)
    """Their titles by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a feed or page is rendered from."""

    publication: Publication
    entries: tuple[Entry, ...]
    """Newest first."""
    full: bool = True
    """Whole texts, or teasers only."""
    offer: Offer | None = None
    """None where it cannot be had by mail."""
    issues: tuple[Issue, ...] = ()
    """The last that anybody may read, newest first, without their entries and documents."""

    @property
    def updated(self) -> datetime | None:
        """When anything in it changed last, from the entries and never from the clock; None when it is empty."""
        return max((entry.changed for entry in self.entries), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One edition of a publication's digest: a fixed list of entries, and the documents rendered from it."""

    id: int = 0
    """The store's key; 0 for a preview, which the store never sees."""
    number: int
    """1, 2, 3… within its publication; the one to come in a preview; 0: a notice."""
    publication: Publication
    created: datetime
    entries: tuple[Entry, ...]
    subject: str = ""
    documents: tuple[Document, ...] = ()
    frequency: str = ""
    """Whose schedule it was made by; empty: the publication's first."""
    variant: str = ""
    """For which group of readers it is; empty: for all."""

    @property
    def address(self) -> str:
        """Where it is read in the browser; empty where it is not."""
        if not self.number or not self.publication.archive:
            return ""
        return self.publication.address("/".join(["issues", str(self.number), *filter(None, [self.variant])]))

    def document(self, name: str) -> Document:
        """The document of that name.

        Raises:
            KeyError: the issue has none.
        """
        for document in self.documents:
            if document.name == name:
                return document
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """What a template of a mail may know of the person who reads it: its ``subscriber``."""

    address: str = ""
    name: str = ""
    unsubscribe: str = ""
    """Where they leave the list: a page, and one click from a mail program (RFC 8058); empty where there is none."""
    preferences: str = ""
    """Where they choose what they get; where they cannot, where they leave."""
    language: str = ""
    """BCP 47 tag; empty: that of the publication."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One delivery on its way: what a channel is handed."""

    delivery: int
    recipient: str
    """An address, perhaps with a name; empty on a channel that speaks to one place only."""
    message_id: str
    """``local@domain`` without brackets; a function of issue, recipient and channel, the same at every attempt."""
    issue: Issue
    subscriber: Subscriber = Subscriber()
    token: str = ""
    """By what the house knows the delivery again when something comes back: of small letters, digits and ``-``,
    fit for the local part of an address (VERP); empty where nothing can come back."""


class Verdict(StrEnum):
    """What came of handing over one parcel."""

    SENT = "sent"
    DEFERRED = "deferred"
    """Not now: try again later (SMTP 4xx, HTTP 429 and 5xx, a lost connection)."""
    FAILED = "failed"
    """Never: trying again would change nothing (SMTP 5xx, HTTP 4xx)."""
    UNCERTAIN = "uncertain"
    """Handed over whole, and no answer came: the other side has it or not."""
    BROKEN = "broken"
    """It never came that far: what it is made of cannot be sent, or breaks us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The verdict on one parcel, in the other side's words."""

    delivery: int
    verdict: Verdict
    detail: str = ""
    retry_after: timedelta | None = None
    """How long the other side asked us to wait."""
    gone: bool = False
    """There is no such recipient, and nothing shall be sent to them again (RFC 3463: 5.1.1 and its like)."""


class State(StrEnum):
    """Where a delivery stands.

    ``sent``, ``failed`` and ``suppressed`` are final; ``parked`` and ``uncertain`` wait for the operator, and their
    issue is not finished before.
    """

    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    """Its reader does not want it any more, or cannot be reached: never sent."""
    PARKED = "parked"
    """It broke us three times."""
    UNCERTAIN = "uncertain"
    """It was on its way when we were killed or the connection was lost, and the channel says ``after_crash: hold``."""


# --- work ------------------------------------------------------------------------------------------------------------


ENTRY_SLOT = "entry "
"""How the slots begin of what goes by no clock; then comes the number of the entry."""


ALERTS = "alerts"
"""What stands for a publication's name where messages to the operator are kept as issues."""


def digest_name(publication: str, frequency: str = "") -> str:
    """Under what a publication's issues by one of its schedules go: ``weekly``; ``weekly/daily`` beside the first."""
    return f"{publication}/{frequency}" if frequency else publication


def source_name(visited: str) -> str:
    """The name of the source that something visited belongs to: of ``planet/blog``, a feed that a list names,
    ``planet``; of a source itself its own.
    """
    return visited.partition("/")[0]


def member_of(visited: str) -> str:
    """Which of the feeds that its source lists something visited is; empty for a source itself."""
    return visited.partition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One thing to do now: a step, and what it is done to."""

    step: str
    """``collect``, ``publish``, ``compose`` or ``deliver``; and ``subscribe``, which answers those who sign up,
    ``bounces``, which reads what came back, ``hubs``, which asks hubs to push, and ``alert``, which tells the operator
    of sources that are unwell."""
    subject: str
    """A source, or a feed that it lists, for collect, a publication for publish, a ``digest_name`` for compose, a
    channel for deliver, ``sign-ups`` for subscribe, ``mailbox`` for bounces, ``HubRow.name`` for hubs, ``operator`` for
    alert."""
    slot: str = ""
    """Which run of it this is, and each runs once: the moment for which a schedule fired (ISO 8601, UTC; without an
    offset where it is that on each reader's own clock), ``entry …`` where one arrived that is not to wait for a moment,
    ``first …`` for the issue that looks back, ``by hand …`` when an operator asked."""
    lane: str = ""
    """Works of one lane are done one after the other: visits to one host.  Empty: none waits for another."""

    @property
    def run(self) -> str:
        """The name under which the store keeps the slots of such work."""
        return f"{self.step} {self.subject}"

    @property
    def wall(self) -> datetime | None:
        """The naive time on each reader's own clock for which it is; None where it is not for such a time."""
        if not self.slot[:1].isdigit():
            return None
        moment = datetime.fromisoformat(self.slot)
        return moment if moment.tzinfo is None else None

    @property
    def is_first(self) -> bool:
        """Whether it is a publication's first issue, which looks back and waits for no schedule."""
        return self.slot.startswith("first ")


@dataclass(frozen=True, slots=True)
class Done:
    """The work is done; ``changed`` tells whether anything is different now."""

    detail: str = ""
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Later:
    """Not now."""

    why: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Never:
    """It cannot be done as things stand; the operator has to mend something."""

    why: str


Outcome = Done | Later | Never
Step = Callable[[Work], Outcome]


Task = TypeVar("Task")
Performed = TypeVar("Performed")


class Paged(Protocol[Task, Performed]):
    """A step that is begun, and ended, for several works at a time; in between each is performed by itself.

    So thousands of works share the transactions in which they begin and end.
    """

    def begin(self, works: Sequence[Work]) -> Sequence[Task | Outcome]:
        """For each work what is to be performed, or an Outcome where there is nothing to do."""
        ...

    def perform(self, task: Task) -> Performed:
        """Do what was begun; many threads do at a time, and one that raises is not ended."""
        ...

    def undo(self, tasks: Sequence[Task]) -> None:
        """Give back what was begun and will not be performed."""
        ...

    def end(self, performed: Sequence[Performed]) -> Sequence[Outcome | Exception]:
        """The outcome of each; an exception where there was a fault of ours, to be told with its traceback."""
        ...
