"""The mailbox that mail comes back to, read on schedule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from publisher.bounces.apply import Returns
from publisher.errors import PublisherError, StoreError
from publisher.mailbox import Visit, look_into_mailbox, mailbox_at, read_mailbox
from publisher.model import Done, Later, Never, Outcome, Work
from publisher.options import Duration, LocalPath, Secret
from publisher.store import SourceState

_LONGEST_PAUSE = timedelta(hours=6)
_REMEMBERED = 5000  # messages that stay in the mailbox
_KEPT = timedelta(days=365)  # what proves nothing: anybody can send us any number of it


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """A mailbox that mail comes back to; what is understood is deleted there, the rest stays and is flagged."""

    kind: ClassVar[str] = "mailbox"

    url: Annotated[
        Secret,
        Field(
            description="imaps://user:password@host/INBOX; also imap+starttls, imap, pop3s, pop3+starttls and pop3. "
            "Write special characters of a password as %40, %2F, %3A."
        ),
    ] = field(repr=False)
    every: Annotated[Duration, Field(description="How often it is read.")] = timedelta(minutes=5)
    ca: Annotated[
        LocalPath | None,
        Field(description="Certificate (PEM) to trust instead of the public authorities, for a server of one's own."),
    ] = None

    def __post_init__(self) -> None:
        mailbox_at(self.url)

    def check(self) -> str:
        """Log in and look; return what answered.

        Raises:
            NetError: it cannot be reached.
            SourceError: it refuses the login or the folder.
        """
        return look_into_mailbox(self.url, ca=self.ca)


def read_inbox(work: Work, returns: Returns) -> Outcome:
    """Read the mailbox once; how it stands is kept like the state of a source, under the name of the run.

    What came back more than a year ago, in whichever way, and proved nothing is forgotten.

    Returns:
        Done, ``changed`` when there was anything; Later when it cannot be read now; Never when there is none.

    Raises:
        StoreError: nothing could be recorded.
    """
    part, now = returns.settings.bounces.part(Inbox.kind), returns.clock()
    if part is None:
        return Never("no mailbox is configured; write one into bounces:")
    inbox: Inbox = part.options
    with returns.store.write() as tx:
        if not tx.runs.claim(work.run, work.slot, now):
            return Done("this slot has run")
        state = tx.sources.get(work.run) or SourceState(name=work.run)
    if state.fingerprint != part.fingerprint:
        state = SourceState(name=work.run, fingerprint=part.fingerprint)
    try:
        visit = read_mailbox(inbox.url, returns.take, ca=inbox.ca, known=state.cursor.get("left", "").split())
    except StoreError:
        raise
    except PublisherError as error:
        state = _failed(state, error, inbox.every, returns.clock())
        outcome: Outcome = Later(error.words, state.next_at)
    else:
        state = _read(state, visit, returns.clock())
        outcome = Done(_words(visit), changed=bool(visit.handled or visit.left))
    with returns.store.write() as tx:
        tx.sources.put(state)
        tx.suppressions.forget(returns.clock() - _KEPT)
        words = outcome.detail if isinstance(outcome, Done) else outcome.why
        tx.runs.finish(work.run, work.slot, words, returns.clock())
    return outcome


def _failed(state: SourceState, error: PublisherError, every: timedelta, now: datetime) -> SourceState:
    # Longer and longer: a server that is asked every few minutes with a wrong password locks the account.
    failures = state.failures + 1
    pause = min(every * 2 ** min(failures, 16), max(every, _LONGEST_PAUSE))
    return replace(state, tried=now, failures=failures, error=error.words, next_at=now + pause)


def _read(state: SourceState, visit: Visit, now: datetime) -> SourceState:
    known = [*state.cursor.get("left", "").split(), *(one.identity for one in visit.left)]
    cursor = {"left": " ".join(known[-_REMEMBERED:])}
    return replace(state, cursor=cursor, visited=now, tried=now, failures=0, error="", next_at=None)


def _words(visit: Visit) -> str:
    taken = f"{visit.handled} taken"
    if not visit.left:
        return taken
    return f"{taken}; {len(visit.left)} left in the mailbox for you to look at (the first: {visit.left[0].why})"
