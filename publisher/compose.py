"""Step 3: entries → an issue and its deliveries.

What arrived since the last issue is picked, rendered, and written with one delivery for each recipient in one
transaction, together with the note that this slot has run: an issue is there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from publisher.config import Settings
from publisher.errors import RenderError, TooLong
from publisher.model import Clock, Done, Entry, Issue, Outcome, Work
from publisher.renderers import DigestRenderer, Renderer, digest
from publisher.store import PublicationState, Store, Tx
from publisher.templating import Templates

_RETRY = timedelta(minutes=10)
_CANDIDATES = 2000  # read at once; what is beyond waits in the store


def compose(work: Work, settings: Settings, *, store: Store, templates: Templates, clock: Clock) -> Outcome:
    """Make the issue of one slot of a publication, if there is anything to tell.

    Returns:
        Done, ``changed`` when there is a new issue.

    Raises:
        RenderError: a template is wrong; nothing was written, the entries wait, and the slot is tried again.
    """
    name = work.subject
    with store.hold(name, clock) as held:
        if not held:
            return Done("another process is at work on it")
        with store.write() as tx:
            if not tx.runs.claim(work.run, work.slot, clock()):
                return Done("this slot has run")
            draft = plan(tx, name, settings, now=clock(), first=work.is_first)
        try:
            made = fit(draft.issue, renderer(name, settings, templates)) if draft.issue.entries else draft.issue
        except RenderError as error:
            with store.write() as tx:
                tx.runs.postpone(work.run, work.slot, clock() + _RETRY, error.words)
                tx.publications.trouble(name, error.words)
            raise
        with store.write() as tx:
            done = _write(tx, name, settings, made, draft, now=clock())
            tx.runs.finish(work.run, work.slot, done.detail, clock())
            return done


def preview(name: str, settings: Settings, *, store: Store, templates: Templates, clock: Clock) -> tuple[Issue, bool]:
    """The issue that would be made now, or one of the newest entries when nothing is waiting.  Writes nothing.

    Returns:
        The issue, without documents when there is no entry at all; and whether anything is waiting.

    Raises:
        RenderError: a template is wrong.
    """
    with store.read() as tx:
        issue = plan(tx, name, settings, now=clock(), first=False).issue
        waiting = bool(issue.entries)
        if not waiting:
            newest = tx.entries.newest(settings.sources_of(name), settings.digest(name).max_entries)
            issue = replace(issue, entries=newest)
    return (fit(issue, renderer(name, settings, templates)) if issue.entries else issue), waiting


def renderer(name: str, settings: Settings, templates: Templates) -> DigestRenderer:
    """The renderer of a publication's issues."""
    options = settings.digest(name)
    return digest(templates, template=options.template, subject=options.subject)


def addresses(name: str, settings: Settings) -> Iterator[tuple[str, str]]:
    """Channel and recipient of each delivery that an issue needs; no recipient where a channel speaks to one place."""
    publication = settings.publications[name]
    for channel in publication.deliver:
        personal = settings.channels[channel].options.personal
        yield from ((channel, recipient) for recipient in (publication.recipients if personal else ("",)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An issue to be, and how far the store was looked through for it."""

    issue: Issue
    carried: tuple[Entry, ...]
    seen: int
    """The last number that was given when we looked."""
    first: bool
    """The first issue: it looks back instead of on, and what does not fit is history, not news."""


def plan(tx: Tx, name: str, settings: Settings, *, now: datetime, first: bool) -> Draft:
    """Look up what an issue would hold now."""
    options, sources = settings.digest(name), settings.sources_of(name)
    state = tx.publications.get(name)
    since = state.since if state else 0
    seen = tx.entries.last_number()  # in the same transaction: what arrives from now on has a higher number
    if first and options.first_issue:
        waiting = tx.entries.recent(sources, now - options.first_issue, options.max_entries)
    else:
        waiting = tx.entries.waiting(name, sources, since, _CANDIDATES)
        seen = waiting[-1].number if len(waiting) == _CANDIDATES else seen
    chosen, carried = pick(waiting, options.max_entries)
    publication = settings.publication(name)
    issue = Issue(number=tx.issues.next_number(name), publication=publication, created=now, entries=chosen)
    return Draft(issue=issue, carried=carried, seen=seen, first=first)


def pick(waiting: Sequence[Entry], most: int) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Choose the entries of an issue.

    Args:
        waiting: in order of arrival.
        most: how many fit.

    Returns:
        The chosen ones, newest first, and those carried over to the next issue, in order of arrival.  Those that
        arrived first go first, so that a busy week delays entries but drops none.  Of several with the same public
        identity only the first is told.
    """
    told = {entry.uid: entry for entry in reversed(waiting)}
    unique = sorted(told.values(), key=lambda entry: entry.number)
    chosen = sorted(unique[:most], key=lambda entry: (entry.moment, entry.number), reverse=True)
    return tuple(chosen), tuple(unique[most:])


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


def _write(tx: Tx, name: str, settings: Settings, issue: Issue, draft: Draft, *, now: datetime) -> Done:
    """Write the issue with its deliveries, and remember from where the next one has to look."""
    left = {entry.number for entry in (*draft.issue.entries, *draft.carried)} - {e.number for e in issue.entries}
    state = replace(tx.publications.get(name) or PublicationState(name=name, known=now), error="")
    if draft.first:
        tx.publications.put(replace(state, opened=True))
    else:
        tx.publications.put(replace(state, since=min(left, default=draft.seen + 1) - 1))
    if not issue.entries:
        return Done("nothing new, so no mail")
    row = tx.issues.add(name, issue.subject, [entry.number for entry in issue.entries], issue.documents, issue.created)
    planned = tx.deliveries.plan(row.id, addresses(name, settings), now)
    tx.issues.finish(row.id, now)  # at once where there is nobody to deliver it to
    rest = f", {len(left)} carried over" if left and not draft.first else ""
    return Done(f"issue {issue.number}: {len(issue.entries)} entries, {planned} deliveries{rest}", changed=True)
