"""What travels: the bodies and queries that the API takes, and what it answers.

Each model is a shape in the OpenAPI document, and what is said there of a field is said here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, RootModel, Tag

from publisher.model import Author, Enclosure, Item

_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
_ADDRESS = r"^https?://[^\s/][^\s]*$"
_EARLIEST = 1900


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _dated(moment: datetime) -> datetime:
    """At the very ends of the calendar a moment has no place in another time zone."""
    if not _EARLIEST <= moment.year < 9999:
        raise ValueError(f"a year from {_EARLIEST} to 9998")
    return moment


def _unlike(entries: tuple[PushedEntry, ...]) -> tuple[PushedEntry, ...]:
    first: dict[str, int] = {}
    for index, entry in enumerate(entries):
        if first.setdefault(entry.id, index) != index:
            raise ValueError(f"entry {index} has the id of entry {first[entry.id]}")
    return entries


Name = Annotated[str, Field(pattern=_NAME)]
WebAddress = Annotated[str, Field(pattern=_ADDRESS, max_length=2000, json_schema_extra={"format": "uri"})]
Moment = Annotated[AwareDatetime, AfterValidator(_dated)]
Line = Annotated[str, Field(max_length=200)]
Address = Annotated[str, Field(max_length=320, examples=["reader@example.org"])]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$", max_length=35, examples=["pt-BR"])]
Names = Annotated[tuple[Name, ...], Field(max_length=100)]
SomeNames = Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)]
Words = Annotated[str, Field(min_length=1, max_length=2000)]


# --- entries in ------------------------------------------------------------------------------------------------------


class PushedAuthor(_Shape):
    """Who wrote it."""

    name: Line = ""
    email: Address = ""
    url: WebAddress | None = None


class PushedEnclosure(_Shape):
    """A file that belongs to it."""

    url: WebAddress
    media_type: Annotated[str, Field(pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=100)] = "application/octet-stream"
    length: int = Field(default=0, ge=0, le=2**53, description="Bytes; 0: not known.")


class PushedEntry(_Shape):
    """One entry.  There must be something to read: a title, a link, a text, an image or an enclosure."""

    id: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"\S",
        description="By which it is known again; the same id again is an edit. An IRI is its public identity, too.",
    )
    title: str = Field(default="", max_length=500, description="Plain text.")
    link: WebAddress | None = Field(default=None, description="Its page; relative links in its HTML begin there.")
    summary: str = Field(default="", description="HTML: the teaser.")
    content: str = Field(default="", description="HTML: the whole text. Scripts, styles and forms are taken out.")
    authors: tuple[PushedAuthor, ...] = Field(default=(), max_length=20)
    tags: tuple[Annotated[str, Field(max_length=100)], ...] = Field(default=(), max_length=50)
    image: WebAddress | None = None
    enclosures: tuple[PushedEnclosure, ...] = Field(default=(), max_length=20)
    published: Moment | None = Field(default=None, description="Left out: now. With an offset: 2026-12-01T08:00:00Z.")
    updated: Moment | None = None
    language: Language | None = Field(default=None, description="BCP 47.")

    def item(self) -> Item:
        """As the house knows it."""
        authors = (Author(name=author.name, email=author.email, url=author.url or "") for author in self.authors)
        return Item(
            guid=self.id,
            link=self.link or "",
            title=self.title,
            summary=self.summary,
            content=self.content,
            authors=tuple(authors),
            tags=self.tags,
            image=self.image or "",
            enclosures=tuple(Enclosure(**enclosure.model_dump()) for enclosure in self.enclosures),
            published=self.published,
            updated=self.updated,
            language=self.language or "",
        )


class PushedEntries(_Shape):
    """Several, kept in one step: all of them, or none if one cannot be."""

    entries: Annotated[tuple[PushedEntry, ...], Field(min_length=1, max_length=100), AfterValidator(_unlike)]


TAGS = ("PushedEntry", "PushedEntries")
"""What a push may be."""


def _which(told: Any) -> str:
    several = "entries" in told if isinstance(told, dict) else isinstance(told, PushedEntries)
    return TAGS[several]


class Push(
    RootModel[
        Annotated[
            Annotated[PushedEntry, Tag(TAGS[0])] | Annotated[PushedEntries, Tag(TAGS[1])],
            Discriminator(_which),
        ]
    ]
):
    """One entry, or up to 100 under ``entries``."""

    def items(self) -> list[Item]:
        """As the house knows them."""
        entries = self.root.entries if isinstance(self.root, PushedEntries) else (self.root,)
        return [entry.item() for entry in entries]


class Pushed(_Shape):
    """What became of what was pushed."""

    arrived: int
    edited: int
    unchanged: int


# --- pages -----------------------------------------------------------------------------------------------------------


class Nothing(BaseModel):
    """No query."""

    model_config = ConfigDict(extra="forbid")


class Paging(Nothing):
    """Which page."""

    limit: int = Field(default=50, ge=1, le=200, description="How many, at most.")
    cursor: str = Field(default="", max_length=1000, description="The `next` of the page before.")


class OfPublication(Paging):
    """Which page, and of which publication."""

    publication: Name | None = Field(default=None, description="Only that publication's.")


class WhichSubscribers(OfPublication):
    """Which page of which subscribers."""

    state: Literal["pending", "active", "left"] | None = Field(
        default=None, description="Only those with a subscription in that state."
    )


class Page(_Shape):
    """A part of a list."""

    next: str | None = Field(default=None, description="The cursor of the next page; null: this is the last.")


# --- what is published -----------------------------------------------------------------------------------------------


class Publication(_Shape):
    """A publication."""

    name: str
    title: str
    description: str
    language: str
    url: str
    sources: tuple[str, ...]
    topics: dict[str, str] = Field(description="The titles of the parts that readers choose from, by name.")
    frequencies: tuple[str, ...] = Field(description="Of which readers choose, the first is the default.")


class Publications(_Shape):
    """All publications, in the order of the configuration."""

    items: tuple[Publication, ...]


class EntryAuthor(_Shape):
    """Who wrote it."""

    name: str
    email: str
    url: str


class EntryEnclosure(_Shape):
    """A file that belongs to it."""

    url: str
    media_type: str
    length: int


class EntryMention(_Shape):
    """Another source that tells the same."""

    source: str
    title: str = Field(description="What that source is called.")
    link: str


class Entry(_Shape):
    """An entry as it is published."""

    number: int = Field(description="The order of arrival.")
    id: str = Field(description="Its public identity, an IRI, the same in every feed for ever.")
    source: str
    version: int = Field(description="1, and one more for each edit.")
    title: str
    link: str
    summary: str = Field(description="HTML.")
    content: str = Field(description="HTML.")
    authors: tuple[EntryAuthor, ...]
    tags: tuple[str, ...]
    image: str
    enclosures: tuple[EntryEnclosure, ...]
    also_in: tuple[EntryMention, ...] = Field(description="Where the same story is told as well.")
    published: datetime | None
    updated: datetime | None
    language: str
    arrived: datetime
    changed: datetime
    backlog: bool = Field(description="It was there before we knew the source, and is never mailed as news.")


class Entries(Page):
    """Entries, what arrived last first."""

    items: tuple[Entry, ...]


# --- subscribers -----------------------------------------------------------------------------------------------------


class Subscription(_Shape):
    """What somebody gets, or got."""

    publication: str
    state: Literal["pending", "active", "left"]
    frequency: str
    topics: tuple[str, ...] = Field(description="None: all of it.")
    asked: datetime | None
    confirmed: datetime | None
    left: datetime | None


class Subscriber(_Shape):
    """A person with an address."""

    id: int
    address: str
    name: str
    language: str
    timezone: str
    paused_until: datetime | None
    created: datetime
    subscriptions: tuple[Subscription, ...]


class Subscribers(Page):
    """Subscribers, in the order in which they came."""

    items: tuple[Subscriber, ...]


class NewSubscriber(_Shape):
    """Somebody who wants publications."""

    address: Address
    publications: SomeNames
    name: Line = ""
    frequency: Line = Field(default="", description="Of one publication; left out: its first.")
    topics: Names = Field(default=(), description="Of one publication; left out: all of it.")
    language: Language | None = None
    timezone: Annotated[str, Field(max_length=64, examples=["Europe/Lisbon"])] = ""
    wording: Annotated[str, Field(max_length=2000)] = Field(
        default="", description="What they were shown when they signed up; it is kept in the log of consents."
    )
    consent: Words | None = Field(
        default=None,
        description="How it is known that they want it; it is kept in the log of consents. With it they get the "
        "publications from now on; without it a mail asks them whether they do.",
    )


class Asked(_Shape):
    """They are asked by a mail whether they want it; this is answered for any address."""

    state: Literal["asked"] = "asked"


class WantedPublication(_Shape):
    """What is to be different of one publication."""

    subscribed: bool | None = None
    frequency: Line | None = None
    topics: Names | None = Field(default=None, description="None of them: all of it.")


class ChangedSubscriber(_Shape):
    """What is to be different; all else stays as it is."""

    publications: Annotated[dict[Name, WantedPublication], Field(max_length=100)] = Field(
        default={}, description="By name."
    )
    name: Line | None = None
    language: Language | None = None
    timezone: Annotated[str, Field(max_length=64)] | None = None
    paused_until: Moment | None = Field(default=None, description="Nothing is sent before it; null ends a pause.")
    consent: Words | None = Field(
        default=None, description="How it is known that they want it; needed where they get more than before."
    )


class Consent(_Shape):
    """What somebody said to our mailing them."""

    publication: str = Field(description="Empty: all of them.")
    act: str = Field(examples=["confirmed"])
    moment: datetime
    door: str = Field(examples=["page", "link", "api"])
    network: str
    wording: str


class History(_Shape):
    """The log of what somebody said, the first first."""

    items: tuple[Consent, ...]


# --- issues ----------------------------------------------------------------------------------------------------------


class Issue(_Shape):
    """One edition of a publication's digest."""

    id: int
    publication: str
    number: int
    subject: str
    created: datetime
    entries: int = Field(description="How many it tells of.")
    finished: datetime | None = Field(description="When its last delivery was settled.")
    paused: str = Field(description="Why nothing of it is sent now; empty while it is.")
    frequency: str
    variant: str
    language: str


class Issues(Page):
    """Issues, the newest first."""

    items: tuple[Issue, ...]


class IssueWithDeliveries(Issue):
    """An issue, and how it goes."""

    deliveries: dict[str, int] = Field(description="How many, by state.")


# --- suppressions ----------------------------------------------------------------------------------------------------


class Suppression(_Shape):
    """Somebody who gets nothing more."""

    address: str = Field(description="In small letters; `#` and a hash where its owner was erased.")
    publication: str = Field(description="Nothing of that one; empty: nothing at all.")
    reason: str = Field(examples=["hard", "complaint", "unsubscribed", "by hand"])
    detail: str
    moment: datetime


class Suppressions(Page):
    """The suppression list, by address."""

    items: tuple[Suppression, ...]


class NewSuppression(_Shape):
    """Somebody who shall get nothing more.  Nothing that the API can do takes it back."""

    address: Address
    publication: Name | None = Field(default=None, description="Nothing of that one; left out: nothing at all.")


class Suppressed(_Shape):
    """They get nothing more."""

    added: bool = Field(description="False: they were on the list already.")


# --- statistics ------------------------------------------------------------------------------------------------------


class PublicationFigures(_Shape):
    """Of one publication."""

    name: str
    subscribers: dict[str, int] = Field(description="By the state of their subscription.")
    issues: int
    deliveries: dict[str, int] = Field(description="Of the issues of the last 30 days, by state.")


class ChannelFigures(_Shape):
    """Of one channel."""

    name: str
    open: int = Field(description="Deliveries that wait for it.")


class SourceFigures(_Shape):
    """Of one source."""

    name: str
    entries: int
    visited: datetime | None = Field(description="The last visit that went well, or the last push.")
    error: str


class Figures(_Shape):
    """The figures of the house, some seconds old at most."""

    moment: datetime
    publications: tuple[PublicationFigures, ...]
    channels: tuple[ChannelFigures, ...]
    sources: tuple[SourceFigures, ...]


# --- the rest --------------------------------------------------------------------------------------------------------


class Document(RootModel[dict[str, Any]]):
    """An OpenAPI document."""


class Fault(_Shape):
    """One thing that is wrong in what was sent."""

    place: str = Field(examples=["entries[3].published"], description="Empty: the whole.")
    message: str


class Problem(_Shape):
    """What went wrong (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: tuple[Fault, ...] = ()
