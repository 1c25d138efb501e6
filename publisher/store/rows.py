"""What the store is given and gives back, beside the types of ``model``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from publisher.model import Entry, Item, State

if TYPE_CHECKING:
    from publisher.config import Settings

FINAL = (State.SENT, State.FAILED, State.SUPPRESSED)
OPEN = tuple(state for state in State if state not in FINAL)
"""The states of which an issue waits for the end."""
UNPROVEN = "unproven"
"""The fate of what came back where anybody may have made it up."""

OWN = ("unsubscribed", "erased")
"""The reasons of a suppression that come from the reader, who alone may take them back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """How a source stands."""

    name: str
    fingerprint: str = ""
    """A mark of the options it was last visited with."""
    cursor: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    since: datetime | None = None
    """The first success: from then on what arrives is news."""
    visited: datetime | None = None
    """The last success."""
    tried: datetime | None = None
    """The last visit, successful or not."""
    failures: int = 0
    """Since the last success."""
    error: str = ""
    next_at: datetime | None = None
    """When it is visited next; None: never again."""
    gone: bool = False
    plan: str = ""
    """A mark of the options that this visit was planned by."""
    url: str = ""
    """Where it is, if the configuration does not say so: a feed that a list names."""
    ailment: str = ""
    """What it suffers from, in one word (``health``); empty: it is well."""
    told: str = ""
    """The ailment that the operator was told of last; written by ``Sources.tell`` only."""
    expires: datetime | None = None
    """When the certificate of its server does."""
    failing: datetime | None = None
    """Since when its visits fail; None: they do not."""
    turned: datetime | None = None
    """When the ailment became what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A source whose visit is due."""

    name: str
    url: str
    """See ``SourceState.url``."""
    tried: datetime | None
    next_at: datetime


class Push(StrEnum):
    """How it stands with what a hub is to push."""

    WANTED = "wanted"
    """The hub has not confirmed it yet."""
    ACTIVE = "active"
    """It has; it still has to show that it pushes, or a visit found what it had not pushed."""
    PROVEN = "proven"
    """What was new came from it first."""
    DENIED = "denied"
    """It does not want to."""
    LEAVING = "leaving"
    """It is to push no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRow:
    """How it stands with the hub of a source."""

    name: str
    """What is visited: a source, or a feed that it lists.  What is to end has, after a space, its token besides."""
    hub: str
    topic: str
    token: str
    """What ends the address that it pushes to: nobody else knows it."""
    secret: str
    """What it signs with."""
    callback: str = ""
    """The address it was told to push to; empty while it was told nothing."""
    state: Push = Push.WANTED
    until: datetime | None = None
    """When what it has confirmed ends."""
    next_at: datetime | None
    """When it is asked again; None: not before something changes."""
    failures: int = 0
    """How often it was asked since it confirmed."""
    error: str = ""

    @property
    def visited(self) -> str:
        """What is visited, be it to end or not."""
        return self.name.partition(" ")[0]

    def pushes(self, now: datetime) -> bool:
        """Whether it is to push now."""
        return self.state in (Push.ACTIVE, Push.PROVEN) and self.until is not None and self.until > now


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What must be known of an entry to tell whether an item is that entry, and whether it changed."""

    number: int
    keys: frozenset[str]
    digest: str
    link_key: str
    title: str
    moment: datetime
    """When it was published, as far as that can be believed (``Entry.moment``)."""
    item: Item | None = None
    """What it says; of one that is known only because an item may be it under another address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An entry that is new."""

    key: str
    uid: str
    item: Item
    digest: str
    link_key: str
    backlog: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Young:
    """News that arrived not long ago, and how it fared since."""

    number: int
    arrived: datetime
    changes: tuple[datetime, ...] = ()
    """When it was edited; in any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """An entry that tells a certain story."""

    entry: Entry
    told: bool
    """An issue for all had it, of the publication and the frequency that was asked about."""
    forgotten: bool
    """Its content is gone, and with it its tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A piece of news, and what may have told it before."""

    entry: Entry
    twins: tuple[Twin, ...]
    """All entries that tell the same, itself among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationState:
    """How a publication stands; or, under ``weekly/daily``, one of its frequencies beside the first."""

    name: str
    since: int = 0
    """The number of the last entry that its digest has dealt with: what comes after it waits for the next issue."""
    opened: bool = False
    """Its first issue was made, or had nothing to tell."""
    schedule: str = ""
    """By which its digest was made when the house looked last; empty when it has none."""
    stamp: str = ""
    """A mark of what its feeds were rendered from."""
    error: str = ""
    """Why its feeds or its issue could not be made at the last attempt."""
    known: datetime
    """When the house saw it first."""
    next_at: datetime | None = None
    """When something will be settled that its feeds do not show yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """How a channel stands."""

    name: str
    failures: int = 0
    """In a row, until now."""
    error: str = ""
    retry_at: datetime | None = None
    """It is left alone until then, as long as its options are the same."""
    fingerprint: str = ""
    """A mark of the options it failed with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One slot of a schedule that somebody took."""

    schedule: str
    slot: str
    owner: str
    started: datetime
    until: datetime
    """When anybody may take it over, if it has not finished."""
    finished: datetime | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueRow:
    """An issue without its entries and documents."""

    id: int
    publication: str
    number: int
    subject: str
    created: datetime
    entries: int
    """How many."""
    finished: datetime | None
    """When its last delivery was settled; None while one is open."""
    paused: str = ""
    """Why none of its deliveries is taken now; empty while they are."""
    frequency: str = ""
    """Whose schedule it was made by; empty: the publication's first."""
    variant: str = ""
    """Of several with one number, for which group of readers; empty: for all."""
    language: str = ""
    """BCP 47 tag; empty: that of the publication."""

    @property
    def is_notice(self) -> bool:
        """Whether it is a mail to one person about their subscription, and no edition."""
        return self.number == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A delivery that is ours to send."""

    id: int
    issue: int
    recipient: str
    tries: int
    """Attempts so far."""
    first_try: datetime | None
    faults: int = 0
    """How often in a row it broke us, or those that were sending it came to an end."""
    subscriber: int | None = None
    """Whose it is; None: of somebody whom the configuration names."""
    name: str = ""
    """The subscriber's, as are the rest."""
    links: int = 0
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What an attempt at a delivery came to."""

    id: int
    state: State
    detail: str
    at: datetime
    next_at: datetime | None = None
    """When it is tried again."""
    faults: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """Somebody who shall get nothing."""

    address: str
    """As its key (``mime.address_key``); ``#`` and a hash where it was erased."""
    publication: str = ""
    """Nothing of that one; empty: nothing at all."""
    reason: str
    """``hard``, ``soft``, ``complaint``, ``unsubscribed``, ``erased`` or ``by hand``."""
    detail: str = ""
    moment: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Something that came back."""

    key: str
    """The same when the same comes twice."""
    delivery: int | None
    address: str
    """As its key; whom it is about."""
    fate: str
    """``hard``, ``soft``, ``complaint`` or ``unsubscribe``; or ``UNPROVEN``."""
    status: str = ""
    """RFC 3463; empty when it is not told."""
    detail: str = ""
    moment: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """A delivery as it stands."""

    id: int
    issue: int
    channel: str
    recipient: str
    state: State
    tries: int
    planned: datetime
    first_try: datetime | None
    next_at: datetime | None
    """When it may be taken: at its next attempt or, while it is being sent, when that lease ends."""
    owner: str
    detail: str
    faults: int
    launched: bool
    settled: datetime | None
    subscriber: int | None = None
    """Whose it is; their row may be gone.  None: of somebody whom the configuration names."""


# --- readers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberRow:
    """A person with an address."""

    id: int
    """Never given to anybody else, not even when they are gone."""
    address: str
    name: str = ""
    language: str = ""
    """BCP 47 tag; empty: that of each publication."""
    timezone: str = ""
    """IANA name; empty: that of each publication."""
    paused_until: datetime | None = None
    links: int = 0
    """The generation of their links: those of an earlier one are dead."""
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRow:
    """Somebody's wish to get one publication."""

    subscriber: int
    publication: str
    state: str
    """``pending``, ``active`` or ``left``."""
    frequency: str = ""
    """The name of one of the publication's schedules; empty: its first."""
    topics: tuple[str, ...] = ()
    """The names of those that they want; none: all of them."""
    since: int | None = None
    """The last entry that they have been told of, where it is not that of all who have the frequency."""
    asked: datetime | None = None
    """When it began to wait for their confirmation."""
    confirmed: datetime | None = None
    left: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """For whom the issues of one frequency of a publication are: those who subscribe to it and do not pause."""

    publication: str
    frequency: str = ""
    """The name of the schedule; empty: the first."""
    others: tuple[str, ...] = ()
    """The names of the schedules beside the first: it is for all who want none of these."""
    language: str
    """The publication's, in which those read it who ask for no other."""
    now: datetime
    """When it is asked who pauses."""

    @classmethod
    def of(cls, settings: Settings, name: str, now: datetime) -> Audience:
        """For whom the issues are that go under a ``digest_name``."""
        publication, _, frequency = name.partition("/")
        others = tuple(filter(None, settings.digest(publication).frequencies))
        language = settings.publications[publication].language
        return cls(publication=publication, frequency=frequency, others=others, language=language, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Those of an audience who want the same of it, in the same language, from the same entry on."""

    language: str = ""
    """BCP 47 tag; empty: the publication's."""
    topics: tuple[str, ...] = ()
    since: int | None = None
    """See ``SubscriptionRow.since``."""
    count: int = field(default=0, compare=False)
    """How many they were when they were counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """What came in at a door."""

    id: int = 0
    """The store gives it."""
    address: str
    name: str = ""
    publications: tuple[str, ...]
    frequency: str = ""
    topics: tuple[str, ...] = ()
    language: str = ""
    timezone: str = ""
    door: str
    """``page``, ``form``, ``api``, ``import``, ``operator``, ``mail`` or ``link``."""
    network: str = ""
    """Where it came from, as far as the caps need to know."""
    wording: str = ""
    """What they were shown."""
    moment: datetime
    done: datetime | None = None
    """When it was dealt with."""
    subscriber: int | None = None
    """Who wants to be reached at that address from now on; None: somebody signs up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRow:
    """What somebody said to our mailing them."""

    publication: str = ""
    """Empty: all of them."""
    act: str
    """One word: asked, confirmed, changed, left, erased…"""
    moment: datetime
    door: str
    """See ``SignUp.door``."""
    network: str = ""
    """Empty once they were erased."""
    wording: str = ""
    """What they were shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of somebody and one publication."""

    suppressed: frozenset[str] = frozenset()
    """The reasons why nothing of it may be sent to them."""
    state: str = ""
    """Of their subscription, or ``asked`` where a sign-up waits; empty where they have none."""
    confirmed: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """Somebody who gets a publication from now on, because it is known from elsewhere that they want it."""

    address: str
    name: str = ""
    language: str = ""
    timezone: str = ""
    frequency: str = ""
    topics: tuple[str, ...] = ()
    created: datetime
    """When they came."""
    confirmed: datetime
    """When they said so."""
    wording: str
    """How that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Somebody who left a publication, as is known from elsewhere."""

    address: str
    moment: datetime
    wording: str
    """How that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """Who may use the API, and what for."""

    id: int
    name: str
    hash: str
    scopes: tuple[str, ...]
    created: datetime
    used: datetime | None = None
