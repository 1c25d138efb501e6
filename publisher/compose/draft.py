"""What the issue of a slot is to tell whom: looked up, decided, and rendered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from publisher.compose.decisions import Topics, Wish, belongs, cursor, foremost, offered, pick, portions, variant
from publisher.config import Settings
from publisher.errors import TooLong
from publisher.model import Entry, Issue
from publisher.renderers import Renderer
from publisher.selection import Choice, reach
from publisher.store import Audience, Group, Tx
from publisher.templating import Templates
from publisher.timetable import EACH_ENTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What is there for those who have one wish."""

    told: tuple[Entry, ...]
    """The entries of their issue, newest first."""
    waiting: tuple[Entry, ...]
    """In order of arrival: what the issue should tell, and the first entry that it does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An edition to be: the issue for all, those for groups, and how far the store was looked through for them."""

    base: Wish
    """What is told in the issue for all."""
    shares: Mapping[Wish, Share]
    groups: Mapping[Group, Wish]
    issue: Issue
    """The issue for all."""
    audience: Audience
    seen: int
    """The number of the last entry that was looked at."""
    last: int
    """The number of the last entry that it could tell of when we looked."""
    first: bool
    """The first edition: it looks back instead of on, and what does not fit is history, not news."""
    trouble: str = ""
    """Which of the publication's rules failed."""

    @property
    def issues(self) -> dict[str, Issue]:
        """The issues that have something to tell, by variant; each is made once, however many groups get it.

        The one for all is made though nobody may get it: by it is known what was told.
        """
        found = {"": self.issue} | {self.variant(group): self._issue(group) for group in self.groups}
        return {name: issue for name, issue in found.items() if issue.entries}

    def variant(self, group: Group) -> str:
        """Which issue a group gets."""
        return variant(self.shares[self.groups[group]].told, self.shares[self.base].told, group.language)

    def _issue(self, group: Group) -> Issue:
        publication = self.issue.publication
        own = replace(publication, language=group.language or publication.language)
        told = self.shares[self.groups[group]].told
        return replace(self.issue, publication=own, entries=told, variant=self.variant(group))

    def reached(self, wish: Wish, made: Issue | None) -> int:
        """The number of the last entry that those who have a wish have been dealt with, when this was made for them."""
        told = {entry.uid for entry in made.entries} if made else set()
        return cursor(wish, [entry for entry in self.shares[wish].waiting if entry.uid not in told], self.seen)


def plan(
    tx: Tx,
    subject: str,
    settings: Settings,
    templates: Templates,
    groups: Iterable[Group],
    *,
    now: datetime,
    first: bool,
) -> Draft:
    """Look up what there is for the issue for all, and for these groups of readers.

    Args:
        subject: a ``digest_name``.
        first: it looks back.
    """
    audience = Audience.of(settings, subject, now)
    topics = settings.publications[audience.publication].topics
    choice, state = Choice(tx, audience.publication, settings, templates, now), tx.publications.get(subject)
    base = Wish(since=state.since if state else 0)
    # What arrives from now on has a higher number.
    last = reach(tx, settings, audience.publication, base.since, now)
    wishes = {group: _wish(group, base, topics) for group in groups}
    shares, seen = _shares(choice, audience, {base, *wishes.values()}, last, first=first)
    issue = Issue(
        number=tx.issues.next_number(audience.publication),
        publication=settings.publication(audience.publication),
        created=now,
        entries=shares[base].told,
        frequency=audience.frequency,
    )
    return Draft(
        base=base,
        shares=shares,
        groups=wishes,
        issue=issue,
        audience=audience,
        seen=seen,
        last=last,
        first=first,
        trouble=choice.rules.trouble,
    )


def _shares(
    choice: Choice, audience: Audience, wishes: Collection[Wish], last: int, *, first: bool
) -> tuple[dict[Wish, Share], int]:
    """What there is for each wish, and the number of the last entry that was looked at."""
    options, topics = choice.settings.digest(choice.name), choice.settings.publications[choice.name].topics
    one_by_one = options.frequencies[audience.frequency] == EACH_ENTRY and not first
    most = 1 if one_by_one else options.max_entries
    news = choice.news(audience.frequency, min(wish.since for wish in wishes), last)
    found, seen = portions(news, wishes, topics, most), last
    if one_by_one:
        found, seen = foremost(found, last)
    back = options.first_issue if first else None
    recent = choice.recent(audience.now - back, most, last) if back else None
    shares = {wish: _share(waiting, wish, topics, most, recent) for wish, waiting in found.items()}
    chosen = {entry.number: entry for share in shares.values() for entry in share.told}
    shown = dict(zip(chosen, choice.shown(list(chosen.values())), strict=True))
    return {
        wish: replace(share, told=tuple(shown[entry.number] for entry in share.told)) for wish, share in shares.items()
    }, seen


def _wish(group: Group, base: Wish, topics: Topics) -> Wish:
    chosen, own = offered(group.topics, topics), group.since is not None
    return Wish(topics=chosen, since=base.since if group.since is None else group.since, own=own)


def _share(waiting: Sequence[Entry], wish: Wish, topics: Topics, most: int, recent: Sequence[Entry] | None) -> Share:
    told = waiting if recent is None else [entry for entry in recent if belongs(entry, wish.topics, topics)]
    return Share(told=pick(told, most)[0], waiting=tuple(waiting))


def fit(issue: Issue, rendering: Renderer[Issue]) -> Issue:
    """Render the issue, with as many of its entries as a mail can hold: the earliest arrived stay, half at a time.

    Raises:
        RenderError: a template is wrong, or not even one entry fits.
    """
    while True:
        try:
            documents = rendering.render(issue)
        except TooLong:
            if len(issue.entries) == 1:
                raise
            issue = replace(issue, entries=pick(sorted(issue.entries, key=_number), len(issue.entries) // 2)[0])
        else:
            subject = next(document.text for document in documents if document.name == "subject.txt")
            return replace(issue, subject=subject, documents=documents)


def _number(entry: Entry) -> int:
    return entry.number
