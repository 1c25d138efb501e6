"""The settings: what each part of config.yaml knows, with defaults and descriptions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from dataclasses import Field as DataclassField
from datetime import date, timedelta
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_type_hints
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from publisher.config.places import Place
from publisher.config.types import (
    SUBSCRIBER,
    ChannelName,
    Condition,
    DatabaseAddress,
    DigestZone,
    Endpoint,
    Heading,
    Interval,
    Language,
    Line,
    MailAddress,
    MailDomain,
    Name,
    Network,
    Once,
    Patience,
    PlainCondition,
    PublicationName,
    Schedules,
    SiteAddress,
    Some,
    SourceName,
    TemplateName,
    Version,
    Wording,
    ZoneName,
)
from publisher.model import Offer, Publication, Site, Voices, digest_name, source_name
from publisher.options import Duration, LocalPath, OpeningHours, Pace, Secret, Size

Kinds = Mapping[str, type[Any]]
"""The kinds of one room by name; each a frozen dataclass whose fields are its options."""

Judges = Mapping[str, Callable[[str], None]]
"""Who says of a ``condition`` or a ``wording``, by these names, what is wrong with it: each raises a ValueError."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class _Heir(_Part):
    """A part that takes what it does not say itself from elsewhere in the file."""

    _inherits: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any, info: ValidationInfo) -> Any:
        inherited = (info.context or {}).get("inherited", {})
        found = {option: inherited[option] for option in cls._inherits if option in inherited}
        return {**found, **data} if isinstance(data, dict) else data


class SiteSettings(_Part):
    """The house as its readers see it."""

    title: Line = Field(description="What the whole is called.")
    url: SiteAddress = Field(description="Every published or mailed address is built from it.")
    language: Language = Field(default="en", description="Language of all that does not say otherwise (BCP 47).")
    timezone: ZoneName = Field(default="UTC", description="Time zone of schedules and dates (IANA name).")
    postal_address: str = Field(default="", description="Stands at the end of each mail; many countries ask for it.")


class ServerSettings(_Part):
    """The web server."""

    listen: Endpoint = Field(default="127.0.0.1:8080", description="Host and port to listen on.")
    trusted_proxies: list[Network] = Field(
        default=[], description="Proxies in front of it, whose word on the client's address is believed."
    )
    images: Literal["left", "proxied"] = Field(
        default="left",
        description="Where readers get the pictures of entries: left where they are, or proxied, from here, so that "
        "those sites do not see who reads.",
    )


class Defaults(_Part):
    """What every source does that does not say otherwise."""

    every: Interval = Field(
        default=timedelta(minutes=30),
        description="How often a source is visited; `adaptive`: from every 10 minutes to once a day, as it has news.",
    )
    timeout: Duration = Field(default=timedelta(seconds=20), description="How long one visit may take.")
    max_bytes: Size = Field(default=5_000_000, description="The largest answer that is read, after decompression.")
    keep: Duration = Field(
        default=timedelta(days=90), description="How long entries stay after they left their source."
    )


class _SetUp(_Part):
    """What is set up by the options of a frozen dataclass."""

    _made_of: ClassVar[type[Any]]
    _options: Any = PrivateAttr(None)

    @model_validator(mode="after")
    def _set_up(self) -> Self:
        self._options = self._made_of(**self._own())
        return self

    def _own(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self._made_of) if field.init}

    @property
    def fingerprint(self) -> str:
        """Changes when the kind or its options do, and tells nothing about them."""
        return hashlib.sha256(f"{self._made_of.kind} {sorted(self._own().items())!r}".encode()).hexdigest()

    @property
    def options(self) -> Any:
        """The dataclass, set up and ready to work."""
        return self._options

    def __repr__(self) -> str:
        """Without the options, which may be secret."""
        return f"<{self._made_of.kind}>"


class _OfKind(_Heir, _SetUp):
    """What has a name and a kind: a source or a channel."""

    _name: str = PrivateAttr("")

    kind: str

    @property
    def name(self) -> str:
        """Its key in config.yaml."""
        return self._name

    def __repr__(self) -> str:
        """Without the options, which may be secret."""
        return f"<{self.kind} {self._name}>"


class SourceSettings(Defaults, _OfKind):
    """One source: what all kinds know.  What its own kind adds is in ``options``."""

    _inherits = tuple(Defaults.model_fields)

    title: str = Field(default="", description="What it is called; left out: what it calls itself.")
    private: bool = Field(default=False, description="It may be at a private address.")
    robots: Literal["obey", "ignore"] = Field(
        default="obey",
        description="Whether pages and articles are left alone where robots.txt asks for it; with `private` it is not "
        "looked at.",
    )

    @property
    def interval(self) -> timedelta | None:
        """How often it is visited; None: as often as is worth while."""
        return self.every if isinstance(self.every, timedelta) else None

    @property
    def lists(self) -> bool:
        """Whether it is a list of feeds, each of which is visited for itself."""
        return hasattr(self.options, "feed")

    @property
    def pushed(self) -> bool:
        """Whether its entries are sent to us, so that nobody visits it and nothing waits for a visit."""
        return bool(getattr(self.options, "pushed", False))


class WarmUp(_Part):
    """A ceiling that rises day by day, until the other side knows us."""

    since: date = Field(description="The first day: 2026-12-01.")
    first_day: int = Field(ge=1, description="How many it sends on that day, at most.")
    growth: float = Field(default=1.5, gt=1, le=10, description="By what the ceiling is multiplied each day.")

    def ceiling(self, day: date) -> int:
        """How many may go on a day."""
        days = (day - self.since).days
        return int(min(self.first_day * self.growth ** min(days, 400), 1e12)) if days >= 0 else 0


class ChannelSettings(_OfKind):
    """One channel: what all kinds know.  What its own kind adds is in ``options``."""

    rate: Pace | None = Field(default=None, description="How many it sends at most, such as 20/s.")
    domains: dict[MailDomain, Pace] = Field(
        default={}, description="How many it sends to the recipients of one domain: {gmail.com: 5/s}."
    )
    hours: OpeningHours | None = Field(
        default=None, description="When it sends: 08:00-20:00, in the site's time zone; left out: always."
    )
    warm_up: WarmUp | None = Field(default=None, description="How many it sends a day, while it is new.")
    after_crash: Literal["resend", "hold"] = Field(
        default="resend",
        description="What becomes of what may have arrived, when we or the connection broke down over it: resend, with "
        "the same Message-ID; or hold it for the operator.",
    )

    @property
    def fingerprint(self) -> str:
        """Changes when any of its options does, and tells nothing about them."""
        told = sorted((name, getattr(self, name)) for name in type(self).model_fields)
        return hashlib.sha256(f"{told!r}".encode()).hexdigest()


class FeedSettings(_Part):
    """The feeds and pages of a publication."""

    formats: Once[Literal["rss", "atom", "json", "html"]] = Field(
        default=("rss", "atom", "json", "html"), description="What is written."
    )
    limit: int = Field(default=50, ge=1, le=1000, description="How many entries they hold.")
    content: Literal["full", "teaser"] = Field(default="full", description="Whole texts, or teasers only.")


class DigestSettings(_Heir):
    """The digest of a publication."""

    _inherits = ("timezone",)

    schedule: Schedules = Field(
        description='When an issue is made: "mon 08:00", "daily 08:00", "every 2h", "each entry", or cron "0 8 * * 1". '
        'Or several by name, of which readers choose and the first is the default: {weekly: "mon 08:00", daily: '
        '"daily 08:00"}.'
    )
    timezone: DigestZone = Field(
        default="UTC",
        description="Time zone of the schedule, or `subscriber`: that of each reader; left out: the site's.",
    )
    subject: Line = Field(
        default="{{ publication.title }}: {{ entries[0].title }}", description="Subject of its mails (Jinja2)."
    )
    template: TemplateName = Field(
        default="digest", description="Name of its templates: digest.html.j2 and digest.txt.j2."
    )
    max_entries: int = Field(default=25, ge=1, le=500, description="How many entries an issue holds; the rest waits.")
    first_issue: Duration | None = Field(
        default=None, description="What a brand-new publication may look back on; left out: nothing."
    )

    @property
    def frequencies(self) -> dict[str, str]:
        """The schedules by name.  The first is the default and goes by "", as one without a name does: that it gets a
        name later changes nothing in the store.
        """
        if isinstance(self.schedule, str):
            return {"": self.schedule}
        (_, first), *others = self.schedule.items()
        return {"": first, **dict(others)}

    @property
    def by_readers_clocks(self) -> bool:
        """Whether each reader gets an issue when it is time where they live."""
        return self.timezone == SUBSCRIBER

    @property
    def default_frequency(self) -> str:
        """The written name of the first schedule; empty where there is but one, without a name."""
        return "" if isinstance(self.schedule, str) else next(iter(self.schedule))

    def frequency(self, stored: str) -> str:
        """The key in ``frequencies`` of what a subscription says; the default's where it is not offered any more."""
        return stored if stored in self.frequencies else ""

    def frequency_named(self, written: str) -> str:
        """The key in ``frequencies`` of a written name; of none, the default's.

        Raises:
            KeyError: it is not offered.
        """
        if written in ("", self.default_frequency):
            return ""
        self.frequencies[written]
        return written


class TopicSettings(_Part):
    """A part of a publication that readers can choose: entries of these sources, and those with one of these tags."""

    title: Line = Field(description="What it is called.")
    sources: Once[SourceName] = Field(default=(), description="The names of its sources.")
    tags: Once[Line] = Field(default=(), description="The tags of its entries, from whichever source.")

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not self.sources and not self.tags:
            raise ValueError("needs sources or tags")
        return self


ACTS = ("drop", "keep", "tag", "retitle", "section", "pin")
"""What a rule can do."""


class RuleSettings(_Part):
    """One rule: what it does, and to which entries.

    Conditions are expressions (Jinja2) that know nothing but the `entry`.
    """

    drop: Condition | None = Field(default=None, description="Leave out the entries for which this holds.")
    keep: Condition | None = Field(
        default=None, description="Of all entries have only those for which this, or another `keep`, holds."
    )
    tag: Wording | None = Field(default=None, description="Give it this tag; {{ … }} is filled in.")
    retitle: Wording | None = Field(default=None, description="Give it this title; {{ … }} is filled in.")
    section: Heading | None = Field(default=None, description="Put it under this heading.")
    pin: PlainCondition | None = Field(default=None, description="Put those first for which this holds; `true`: all.")
    when: Condition | None = Field(default=None, description="Do so only where this holds; left out: always.")

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        acts = [name for name in ACTS if getattr(self, name) is not None]
        if len(acts) != 1:
            raise ValueError(f"a rule does one thing: write one of {', '.join(ACTS)}")
        if self.when is not None and acts[0] in ("drop", "keep"):
            raise ValueError(f"`{acts[0]}` says itself of which entries: join the two conditions by `and`")
        return self


class PublicationSettings(_Heir):
    """A selection of entries, and what is made of it."""

    _inherits = ("language",)

    title: Line = Field(description="What it is called.")
    description: str = Field(default="", description="One sentence about it.")
    language: Language = Field(default="en", description="Its language (BCP 47); left out: the site's.")
    sources: Once[SourceName] = Field(default=("*",), description='The names of its sources, or ["*"] for all.')
    prefer: Once[SourceName] = Field(
        default=(),
        description="The sources whose words are taken where several tell the same story, the best first; else those "
        "of the one that told it first.",
    )
    rules: tuple[RuleSettings, ...] = Field(
        default=(), description="Which of their entries are in it, and how; done one after the other."
    )
    settle: Patience | None = Field(
        default=None,
        description="How long an entry must not have changed before it is published or mailed, at most a day; left "
        "out: it need not wait.",
    )
    feeds: FeedSettings = Field(default=FeedSettings(), description="Its feeds and pages.")
    topics: dict[Name, TopicSettings] = Field(default={}, description="The parts of it that readers choose from.")
    digest: DigestSettings | None = Field(default=None, description="Its digest; left out: it is not mailed.")
    recipients: Once[MailAddress] = Field(default=(), description="Addresses that get each issue, always.")
    deliver: Some[ChannelName] = Field(
        default=("outbox",), description="The names of the channels that its issues leave by."
    )

    @model_validator(mode="after")
    def _topics_are_parts(self) -> Self:
        for name, topic in self.topics.items():
            strangers = set() if "*" in self.sources else set(topic.sources).difference(self.sources)
            if strangers:
                raise ValueError(f"topic {name!r}: {min(strangers)!r} is not among the publication's sources")
        return self

    @model_validator(mode="after")
    def _prefers_its_own(self) -> Self:
        strangers = set() if "*" in self.sources else set(self.prefer).difference(self.sources)
        if strangers or "*" in self.prefer:
            raise ValueError(f"prefer: {min(strangers or '*')!r} is not among the publication's sources")
        return self


class SubscriptionSettings(_Part):
    """How readers subscribe."""

    confirm: Literal["double"] = Field(
        default="double",
        description="A mail asks whoever signs up, and nothing else is sent before they have said yes.",
    )
    confirm_within: Duration = Field(
        default=timedelta(days=7), description="How long a sign-up waits for that; then it is forgotten."
    )
    archive: Literal["public", "none"] = Field(
        default="public", description="Whether anybody may read past issues in the browser."
    )
    per_network: int = Field(
        default=30, ge=1, description="How many may sign up from one network in an hour; more are asked to wait."
    )
    per_hour: int = Field(default=2000, ge=1, description="How many may sign up in an hour, from wherever.")


class BounceSettings(_Part):
    """By which ways we learn what came back: a mailbox, or a mail provider that posts its reports to us."""

    def part(self, name: str) -> _SetUp | None:
        """The settings of that way; None where it is not used, or there is none of that name."""
        return getattr(self, name) if name in type(self).model_fields else None


class AlertSettings(_Part):
    """Who is told when a source turns ill, and when it is well again."""

    deliver: Some[ChannelName] = Field(description="The names of the channels that the messages leave by.")
    recipients: Once[MailAddress] = Field(
        default=(), description="Who gets them, on channels that speak to persons: ops@example.org."
    )


class RetrySettings(_Part):
    """How long we try to deliver."""

    attempts: int = Field(default=8, ge=1, le=100, description="How often a delivery is tried.")
    for_: Duration = Field(default=timedelta(days=3), alias="for", description="After how long it is given up.")


class LogSettings(_Part):
    """What is told while it runs."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is told.")
    format: Literal["auto", "text", "json"] = Field(default="auto", description="auto: text on a terminal, else JSON.")


class Settings(_Part):
    """The whole configuration, checked, with every default filled in."""

    _folder: Path = PrivateAttr(Path())
    _masks: dict[Place, str] = PrivateAttr(default_factory=dict)

    version: Version = Field(description="Version of this file's form.")
    site: SiteSettings = Field(description="The house as its readers see it.")
    server: ServerSettings = Field(default=ServerSettings(), description="The web server.")
    database: DatabaseAddress = Field(
        default="sqlite:///data/publisher.db", description="sqlite:///file, or postgresql://… for many machines."
    )
    secret_key: Secret | None = Field(default=None, description="Made in data/ on the first run if left out.")
    feeds: LocalPath = Field(default=Path("feeds"), description="The folder that feeds and pages are written to.")
    templates: LocalPath | None = Field(default=Path("templates"), description="Searched before the built-in ones.")
    defaults: Defaults = Field(default=Defaults(), description="What every source does that does not say otherwise.")
    sources: dict[str, SourceSettings] = Field(default={}, description="Where entries come from.")
    publications: dict[PublicationName, PublicationSettings] = Field(default={}, description="What is made of them.")
    channels: dict[str, ChannelSettings] = Field(default={}, description="How issues leave the house.")
    bounces: BounceSettings = Field(default=BounceSettings(), description="How we learn what came back.")
    subscriptions: SubscriptionSettings | None = Field(
        default=None, description="How readers subscribe; left out: nobody can sign up."
    )
    alerts: AlertSettings | None = Field(
        default=None, description="Who is told when a source turns ill, and when it is well again; left out: nobody."
    )
    retry: RetrySettings = Field(default=RetrySettings(), description="How long we try to deliver.")
    log: LogSettings = Field(default=LogSettings(), description="What is told while it runs.")

    @field_validator("alerts")
    @classmethod
    def _alerts_reach_somebody(cls, alerts: AlertSettings | None, info: ValidationInfo) -> AlertSettings | None:
        channels: Mapping[str, ChannelSettings] = info.data.get("channels", {})
        personal = (
            [name for name in alerts.deliver if name in channels and channels[name].options.personal] if alerts else []
        )
        if alerts and personal and not alerts.recipients:
            raise ValueError(f"needs recipients: the channel {personal[0]!r} speaks to persons, and nobody is named")
        return alerts

    @model_validator(mode="after")
    def _complete(self, info: ValidationInfo) -> Self:
        for name, part in (*self.sources.items(), *self.channels.items()):
            part._name = name
        given = info.context or {}
        self._folder, self._masks = given.get("folder", Path()), given.get("masks", {})
        return self

    def __repr__(self) -> str:
        """Without the options, which may be secret."""
        return f"<settings of {self._folder}>"

    @property
    def folder(self) -> Path:
        """The folder that config.yaml is in."""
        return self._folder

    @property
    def masks(self) -> Mapping[Place, str]:
        """Where a text holds what the environment or a file says, and what can be shown of it."""
        return self._masks

    @property
    def site_host(self) -> str:
        """The host of the site's address."""
        return urlsplit(self.site.url).hostname or ""

    @property
    def digests(self) -> dict[str, DigestSettings]:
        """The digests there are, by the name of their publication."""
        return {name: part.digest for name, part in self.publications.items() if part.digest}

    @property
    def digest_names(self) -> tuple[str, ...]:
        """The ``digest_name`` of each schedule of each digest."""
        return tuple(digest_name(name, key) for name, digest in self.digests.items() for key in digest.frequencies)

    def digest(self, name: str) -> DigestSettings:
        """The digest of that publication.

        Raises:
            KeyError: there is no such publication, or it has no digest.
        """
        return self.digests[name]

    def source(self, visited: str) -> SourceSettings:
        """The settings by which something is visited: a source, or a feed that one lists.

        Raises:
            KeyError: there is no such source.
        """
        return self.sources[source_name(visited)]

    @property
    def audiences(self) -> tuple[str, ...]:
        """The names of the publications that readers can subscribe to: those that are mailed to persons."""
        if self.subscriptions is None:
            return ()
        return tuple(name for name in self.digests if self.postman(name))

    def offer(self, name: str) -> Offer | None:
        """What readers can subscribe to; None where a publication is not to be had by mail."""
        if name not in self.audiences:
            return None
        digest = self.digest(name)
        names = tuple(key or digest.default_frequency for key in digest.frequencies)
        return Offer(
            publication=self.publication(name),
            frequencies=names if len(names) > 1 else (),
            topics={key: topic.title for key, topic in self.publications[name].topics.items()},
        )

    @property
    def has_archive(self) -> bool:
        """Whether anybody may read past issues."""
        return self.subscriptions is not None and self.subscriptions.archive == "public"

    def postman(self, name: str) -> str:
        """The first channel of a publication that speaks to persons; empty where there is none."""
        personal = (ch for ch in self.publications[name].deliver if self.channels[ch].options.personal)
        return next(personal, "")

    def zone_of(self, name: str) -> str:
        """The time zone of a publication's dates and schedules: the site's where each reader has one of their own."""
        digest = self.digests.get(name)
        return digest.timezone if digest and not digest.by_readers_clocks else self.site.timezone

    def sources_of(self, name: str) -> tuple[str, ...]:
        """The names of a publication's sources; all of them, in the order of the file, for ``*``."""
        chosen = self.publications[name].sources
        return tuple(self.sources) if "*" in chosen else chosen

    def voices(self, name: str) -> Voices:
        """Who speaks in a publication."""
        titles = {source: self.sources[source].title for source in self.sources_of(name)}
        return Voices(titles=titles, prefer=self.publications[name].prefer)

    def model_site(self) -> Site:
        """The site, as templates and renderers know it."""
        return Site(**self.site.model_dump())

    def publication(self, name: str) -> Publication:
        """A publication, as templates and renderers know it."""
        part = self.publications[name]
        return Publication(
            name=name,
            title=part.title,
            site=self.model_site(),
            description=part.description,
            language=part.language,
            timezone=self.zone_of(name),
            formats=part.feeds.formats,
            archive=self.has_archive,
            sections=tuple(dict.fromkeys(rule.section for rule in part.rules if rule.section)),
        )


def context(data: dict[str, Any], *, folder: Path, masks: dict[Place, str], judges: Judges) -> dict[str, Any]:
    """What options must know of the rest of the file; None for a room whose names cannot be told."""
    sources, channels = data.get("sources", {}), data["channels"]
    return {
        "folder": folder,
        "masks": masks,
        "judges": judges,
        "inherited": _valid(Defaults, data.get("defaults")) | _valid(SiteSettings, data.get("site")),
        "sources": {"*", *sources} if isinstance(sources, dict) else None,
        "channels": set(channels) if isinstance(channels, dict) else None,
    }


def _valid(model: type[_Part], data: Any) -> dict[str, Any]:
    """What is inherited from a part: its faults are told elsewhere, and what heirs get instead does not matter then."""
    try:
        return model.model_validate({} if data is None else data).model_dump()
    except ValidationError:
        return {}


def model_of(sources: Kinds, channels: Kinds, ways: Kinds) -> type[Settings]:
    """The settings, extended by the options of those kinds, and of the ways by which things come back."""
    rooms: dict[str, Any] = {
        "sources": (_room(SourceSettings, sources), Settings.model_fields["sources"]),
        "channels": (_room(ChannelSettings, channels), Settings.model_fields["channels"]),
        "bounces": _returning(ways),
    }
    return create_model("Settings", __base__=Settings, __doc__=Settings.__doc__, **rooms)


def _room(base: type[_OfKind], kinds: Kinds) -> Any:
    parts = tuple(_of_kind(base, name, kind) for name, kind in kinds.items())
    return dict[Name, Annotated[reduce(or_, parts), Field(discriminator="kind")]]  # type: ignore[misc]  # made at run time


def _of_kind(base: type[_OfKind], name: str, kind: type[Any]) -> type[_OfKind]:
    return _made(base, kind, kind=(Literal[name], Field(description=_title(kind, name))))


def _returning(ways: Kinds) -> tuple[type[BounceSettings], Any]:
    parts: dict[str, Any] = {
        name: (_made(_SetUp, way) | None, Field(default=None, description=_title(way, name)))
        for name, way in sorted(ways.items())
    }
    made = create_model("BounceSettings", __base__=BounceSettings, __doc__=BounceSettings.__doc__, **parts)
    return made, Field(default_factory=made, description=Settings.model_fields["bounces"].description)


_PartT = TypeVar("_PartT", bound=_SetUp)


def _made(base: type[_PartT], of: type[Any], **more: Any) -> type[_PartT]:
    types = get_type_hints(of, include_extras=True)
    options: dict[str, Any] = {field.name: (types[field.name], _default(field)) for field in fields(of) if field.init}
    name = f"{of.__name__}{base.__name__.lstrip('_')}"
    made = create_model(name, __base__=base, __doc__=of.__doc__, **options, **more)
    made._made_of = of
    return made


def _title(kind: type[Any], name: str) -> str:
    return (kind.__doc__ or name).partition("\n")[0]


def _default(field: DataclassField[Any]) -> Any:
    if field.default_factory is not MISSING:
        return Field(default_factory=field.default_factory)
    return ... if field.default is MISSING else field.default
