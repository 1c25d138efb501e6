"""Step 3: entries → an edition, and its deliveries.

What arrived since the last one is picked for each group of readers, rendered, and written with one delivery for each
reader in one transaction, together with how far each has been told: an edition is there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from publisher.compose.decisions import pick
from publisher.compose.draft import Draft, fit, plan
from publisher.compose.edition import Edition
from publisher.config import Settings
from publisher.errors import RenderError
from publisher.model import Clock, Done, Issue, Outcome, Work
from publisher.renderers import DigestRenderer, digest
from publisher.selection import Choice
from publisher.store import Audience, Store
from publisher.templating import Templates

__all__ = ["compose", "fit", "pick", "preview", "renderer"]

_RETRY = timedelta(minutes=10)


def compose(work: Work, settings: Settings, *, store: Store, templates: Templates, clock: Clock) -> Outcome:
    """Make the edition of one slot of a publication's schedule, if there is anything to tell.

    A schedule that goes by no clock makes one for each entry, one after the other.

    Returns:
        Done, ``changed`` when there is a new issue.

    Raises:
        RenderError: a template is wrong; nothing was written, the entries wait, and the slot is tried again.
    """
    with store.hold(work.run, clock) as held:
        if not held:
            return Done("another process is at work on it")
        with store.write() as tx:
            if not tx.runs.claim(work.run, work.slot, clock()):
                return Done("this slot has run")
        return _Press(work, settings, store, templates, clock).run()


@dataclass(frozen=True, slots=True)
class _Press:
    """One slot at work."""

    work: Work
    settings: Settings
    store: Store
    templates: Templates
    clock: Clock

    def run(self) -> Done:
        """Make all there is to make."""
        told: list[str] = []
        while True:
            draft = self._plan()
            made = self._made(draft)
            is_last = draft.seen >= draft.last
            with self.store.write() as tx:
                planned = Edition(self.work, self.settings, draft, made).write(tx, self.clock())
                told += [_words(draft, made, planned)] if made else []
                words = "; ".join(told) or "nothing new, so no mail"
                if is_last:
                    tx.runs.finish(self.work.run, self.work.slot, words, self.clock())
            if is_last:
                return Done(words, changed=bool(told))

    def _plan(self) -> Draft:
        now, subject = self.clock(), self.work.subject
        with self.store.read() as tx:
            groups = tx.subscribers.groups(Audience.of(self.settings, subject, now))
            return plan(tx, subject, self.settings, self.templates, groups, now=now, first=self.work.is_first)

    def _made(self, draft: Draft) -> Mapping[str, Issue]:
        rendering = renderer(draft.audience.publication, self.settings, self.templates)
        try:
            return {name: fit(issue, rendering) for name, issue in draft.issues.items()}
        except RenderError as error:
            with self.store.write() as tx:
                tx.runs.postpone(self.work.run, self.work.slot, self.clock() + _RETRY, error.words)
                tx.publications.trouble(self.work.subject, error.words)
            raise


def _words(draft: Draft, made: Mapping[str, Issue], planned: int) -> str:
    """What an edition is, in a line."""
    entries = {entry.number for issue in made.values() for entry in issue.entries}
    variants = f" in {len(made)} variants" if len(made) > 1 else ""
    told = {entry.uid for issue in made.values() for entry in issue.entries}
    left = [entry for entry in draft.shares[draft.base].waiting if entry.uid not in told]
    rest = ", the rest carried over" if left and not draft.first else ""
    return f"issue {draft.issue.number}: {len(entries)} entries{variants}, {planned} deliveries{rest}"


def preview(name: str, settings: Settings, *, store: Store, templates: Templates, clock: Clock) -> tuple[Issue, bool]:
    """The issue that would be made now, or one of the newest entries when nothing is waiting.  Writes nothing.

    Returns:
        The issue, without documents when there is no entry at all; and whether anything is waiting.

    Raises:
        RenderError: a template is wrong.
    """
    now = clock()
    with store.read() as tx:
        issue = plan(tx, name, settings, templates, (), now=now, first=False).issue
        waiting = bool(issue.entries)
        if not waiting:
            newest = Choice(tx, name, settings, templates, now).newest(settings.digest(name).max_entries)
            issue = replace(issue, entries=newest)
    return (fit(issue, renderer(name, settings, templates)) if issue.entries else issue), waiting


def renderer(name: str, settings: Settings, templates: Templates) -> DigestRenderer:
    """The renderer of a publication's issues."""
    options = settings.digest(name)
    return digest(templates, template=options.template, subject=options.subject)
