"""An edition is written: its issues, a delivery for each reader, and from where each goes on.  All in one transaction.

What is done costs as much as there are groups of readers; only the database sees each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from publisher.compose.draft import Draft
from publisher.config import Settings
from publisher.model import Issue, Work
from publisher.store import Group, PublicationState, Tx
from publisher.timetable import moments


@dataclass(frozen=True, slots=True)
class Edition:
    """What was made for one moment, for all and for each group."""

    work: Work
    settings: Settings
    draft: Draft
    made: Mapping[str, Issue]
    """The issues with their documents, by variant."""

    def write(self, tx: Tx, now: datetime) -> int:
        """Write it, and remember from where the next one has to look.

        Returns:
            The number of deliveries.
        """
        self._keep_latecomers(tx)
        base = self.draft.reached(self.draft.base, self.made.get(""))
        known = tx.publications.get(self.work.subject) or PublicationState(name=self.work.subject, known=now)
        tx.publications.put(
            replace(known, error=self.draft.trouble, since=base, opened=known.opened or self.draft.first)
        )
        issues = self._issues(tx)
        planned = self._deliveries(tx, issues, now)
        self._tell(tx, base)
        for id in issues.values():
            tx.issues.finish(id, now)  # at once where there is nobody to deliver it to
        return planned

    def _keep_latecomers(self, tx: Tx) -> None:
        """Who came while it was made and wants what nobody else does goes on from where they would have."""
        groups = tx.subscribers.groups(self.draft.audience)
        late = [group for group in groups if group.since is None and group not in self.draft.groups]
        if late:
            tx.subscribers.tell(self.draft.audience, dict.fromkeys(late, self.draft.base.since))

    def _issues(self, tx: Tx) -> dict[str, int]:
        ids: dict[str, int] = {}
        number, site = None, self.draft.audience
        for variant, issue in self.made.items():
            language = issue.publication.language
            row = tx.issues.add(
                site.publication,
                issue.subject,
                [entry.number for entry in issue.entries],
                issue.documents,
                issue.created,
                frequency=site.frequency,
                variant=variant,
                language="" if language == site.language else language,
                number=number,
            )
            ids[variant], number = row.id, row.number
        return ids

    def _deliveries(self, tx: Tx, issues: Mapping[str, int], now: datetime) -> int:
        """Plan those of whom the configuration names, and then those of the subscribers who do not get it so."""
        audience, channels = self.draft.audience, self.settings.channels
        home, clocks = self._moments(tx, now)
        base = issues.get("") if not audience.frequency else None
        planned = tx.deliveries.plan(base, addresses(audience.publication, self.settings), now, at=home) if base else 0
        theirs = {group: issues[name] for group in self.draft.groups if (name := self.draft.variant(group)) in issues}
        ways = self.settings.publications[audience.publication].deliver
        for channel in [name for name in ways if theirs and channels[name].options.personal]:
            planned += tx.deliveries.plan_readers(audience, channel, theirs, now, base=base, at=home, moments=clocks)
        return planned

    def _moments(self, tx: Tx, now: datetime) -> tuple[datetime, dict[str, datetime]]:
        """When it may go to those at home; and to whom it goes by another clock."""
        audience, zone = self.draft.audience, self.settings.site.timezone
        wall = self.work.wall
        if wall is None or not self.settings.digest(audience.publication).by_readers_clocks:
            return now, {}
        found = moments(wall, {zone, *tx.subscribers.zones(audience)}, zone)
        due = {name: max(now, moment) for name, moment in found.items()}
        return due[zone], {name: moment for name, moment in due.items() if moment != due[zone]}

    def _tell(self, tx: Tx, base: int) -> None:
        """Let each group go on from where it stands now: with all, where it stands where they do."""
        until: dict[Group, int | None] = {}
        for group, wish in self.draft.groups.items():
            reached = self.draft.reached(wish, self.made.get(self.draft.variant(group)))
            until[group] = None if reached == base else reached
        moved = {group: to for group, to in until.items() if to != group.since}
        if moved:
            tx.subscribers.tell(self.draft.audience, moved)


def addresses(name: str, settings: Settings) -> Iterator[tuple[str, str]]:
    """Channel and recipient of each delivery to whom the configuration names; no recipient where a channel speaks to
    one place.
    """
    publication = settings.publications[name]
    for channel in publication.deliver:
        personal = settings.channels[channel].options.personal
        yield from ((channel, recipient) for recipient in (publication.recipients if personal else ("",)))
