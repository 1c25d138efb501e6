"""Deliveries made into parcels: the issue as its reader gets it, with names that lead back to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock

from publisher.config import ChannelSettings, Settings
from publisher.mime import message_id
from publisher.model import ALERTS, Entry, Issue, Parcel, Publication, Subscriber
from publisher.renderers import DigestRenderer, digest
from publisher.selection import Rules
from publisher.store import IssueRow, Leased, Store
from publisher.templating import Templates
from publisher.tokens import preferences_link, token


@dataclass
class Packer:
    """Makes the parcels of one channel.  Threads may share it."""

    channel: ChannelSettings
    settings: Settings
    store: Store
    templates: Templates
    secret: str
    _issue: Issue | None = None
    """The last one that was looked up: deliveries come issue by issue, and one is kept in memory."""
    _renderings: dict[str, DigestRenderer | None] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._name, self._personal = self.channel.name, self.channel.options.personal
        self._host, self._leave = self.settings.site_host, f"{self.settings.site.url}/unsubscribe/"

    def parcel(self, row: Leased) -> Parcel:
        """The delivery, ready for its channel.

        Raises:
            RenderError: its issue cannot be rendered for this reader.
            StoreError: its issue cannot be read.
        """
        found = self._found(row)
        subscriber = Subscriber(address=row.recipient) if found.publication.name == ALERTS else self._reader(row)
        return Parcel(
            delivery=row.id,
            recipient=row.recipient,
            message_id=message_id(row.issue, self._name, row.recipient, self._host, self.secret),
            issue=self._issue_for(found, subscriber),
            subscriber=subscriber,
            token=token("bounce", row.id, self.secret),
        )

    def _reader(self, row: Leased) -> Subscriber:
        leave = self._leave + token("unsubscribe", row.id, self.secret)
        if row.subscriber is None:
            return Subscriber(address=row.recipient, unsubscribe=leave, preferences=leave)
        return Subscriber(
            address=row.recipient,
            name=row.name,
            unsubscribe=leave,
            preferences=preferences_link(self.settings.site.url, self.secret, row.subscriber, row.links),
            language=row.language,
        )

    def _found(self, row: Leased) -> Issue:
        """The issue as it is for all."""
        with self._lock:
            if self._issue is None or self._issue.id != row.issue:
                self._issue = self._looked_up(row.issue)
            return self._issue

    def _issue_for(self, issue: Issue, subscriber: Subscriber) -> Issue:
        """The issue as it is for all; or, where its template looks at who reads it, as it is for one of them."""
        with self._lock:
            rendering = self._rendering(issue.publication.name)
        if not rendering or not self._personal or not issue.number:
            return issue
        documents = rendering.render(issue, subscriber)
        subject = next(document.text for document in documents if document.name == "subject.txt")
        return replace(issue, subject=subject, documents=documents)

    def _rendering(self, publication: str) -> DigestRenderer | None:
        """What renders a publication's digest for each reader; None where one rendering does for all."""
        if publication not in self._renderings:
            options = self.settings.digests.get(publication)  # none where it was taken out since
            found = options and digest(self.templates, template=options.template, subject=options.subject)
            self._renderings[publication] = found if found and found.personal else None
        return self._renderings[publication]

    def _looked_up(self, key: int) -> Issue:
        with self.store.read() as tx:
            row, entries, documents = tx.issues.get(key), tx.issues.entries(key), tx.issues.documents(key)
            assert row  # noqa: S101 (a delivery's issue is a foreign key)
            if row.publication in self.settings.publications:
                # Whose words are told was decided when it was made.
                voices = replace(self.settings.voices(row.publication), prefer=())
                entries = tx.stories.shown(entries, voices)
        return Issue(
            id=row.id,
            number=row.number,
            publication=self._publication(row),
            created=row.created,
            entries=self._as_told(row.publication, entries),
            subject=row.subject,
            documents=documents,
            frequency=row.frequency,
            variant=row.variant,
        )

    def _as_told(self, publication: str, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """As the rules of the publication leave them; whether they are in it was decided when the issue was made."""
        part = self.settings.publications.get(publication)
        return tuple(map(Rules(part.rules, self.templates).dress, entries)) if part and part.rules else entries

    def _publication(self, row: IssueRow) -> Publication:
        """The publication of an issue, in its language; it may have been taken out of the configuration since."""
        name = row.publication
        if name not in self.settings.publications:
            return Publication(name=name, title=name, site=self.settings.model_site())
        found = self.settings.publication(name)
        return replace(found, language=row.language or found.language)
