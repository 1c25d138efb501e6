"""What sign-ups are answered with: a mail, or nothing.

A door only keeps what came in.  Whether somebody is a subscriber, has left or is suppressed is looked up here, later
and out of sight, so that neither what a door answers nor how long that takes tells it to anybody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from publisher.config import Settings
from publisher.model import Clock, Document, Done, Never, Outcome, Work
from publisher.renderers import notice
from publisher.store import OWN, ConsentRow, SignUp, Store, SubscriberRow, SubscriptionRow, Tx
from publisher.templating import Templates
from publisher.tokens import preferences_link, token

_AT_ONCE = 100
_KEPT = timedelta(days=30)
"""How long a sign-up is kept after it was dealt with; a confirmation must come within that, too."""


def subscribe(
    work: Work, settings: Settings, *, store: Store, templates: Templates, secret: str, clock: Clock
) -> Outcome:
    """Ask those who have signed up whether it was they, each by one mail.

    The mails are planned in the transaction that notes that the sign-ups were dealt with: none is lost, none doubled.

    Raises:
        RenderError: a template is wrong; the sign-ups wait.
        StoreError: nothing was done; the sign-ups wait.
    """
    if settings.subscriptions is None:
        return Never("sign-ups wait, and the configuration has no `subscriptions:`")
    answers = _Answers(settings, templates, secret)
    dealt = mailed = 0
    while True:
        now = clock()
        with store.write() as tx:
            waiting = tx.subscribers.waiting(_AT_ONCE)
            mailed += sum(answers.to(tx, one, now) for one in waiting)
            tx.subscribers.deal_with([one.id for one in waiting], now)
        dealt += len(waiting)
        if len(waiting) < _AT_ONCE:
            break
    if work.slot:
        _tidy_up(work, store, settings.subscriptions.confirm_within, clock())
    return Done(f"{dealt} sign-ups, {mailed} mails", changed=bool(dealt))


def _tidy_up(work: Work, store: Store, confirm_within: timedelta, now: datetime) -> None:
    """Forget those who never confirmed, and what came in at the doors long ago; once in each slot."""
    with store.write() as tx:
        if tx.runs.claim(work.run, work.slot, now):
            dropped = tx.subscribers.drop_unconfirmed(now - confirm_within, now)
            tx.subscribers.prune_signups(now - max(_KEPT, confirm_within))
            tx.runs.finish(work.run, work.slot, f"{dropped} never confirmed", now)


@dataclass(frozen=True, slots=True)
class _Answers:
    settings: Settings
    templates: Templates
    secret: str

    def to(self, tx: Tx, one: SignUp, now: datetime) -> bool:
        """Answer one sign-up; tells whether it was by a mail."""
        wanted = tuple(name for name in self.settings.audiences if name in one.publications)
        if one.subscriber is not None:
            return self._to_a_new_address(tx, one, now)
        if not wanted or not _can_be_mailed(tx, one.address, wanted):
            return False
        row = tx.subscribers.by_address(one.address)
        known = {sub.publication: sub for sub in tx.subscribers.subscriptions(row.id)} if row else {}
        new = tuple(name for name in wanted if name not in known or known[name].state != "active")
        if row is None:
            row = tx.subscribers.add(one.address, name=one.name, language=one.language, timezone=one.timezone, now=now)
        said = ConsentRow(act="asked", moment=one.moment, door=one.door, network=one.network, wording=one.wording)
        for name in new:
            waits = replace(
                known.get(name) or SubscriptionRow(subscriber=row.id, publication=name, state=""), asked=now
            )
            tx.subscribers.subscribe(replace(waits, state="pending"))
            said = ConsentRow(
                publication=name,
                act="asked",
                moment=one.moment,
                door=one.door,
                network=one.network,
                wording=one.wording,
            )
            tx.subscribers.consent(one.address, said)
        if not tx.subscribers.may_ask(one.address, now):
            return False
        about = new or wanted
        letter = self._letter("confirm" if new else "already", about, one, row)
        self._plan(tx, letter, replace(row, address=one.address), about[0], now)
        return True

    def _to_a_new_address(self, tx: Tx, one: SignUp, now: datetime) -> bool:
        row = tx.subscribers.get(one.subscriber or 0)
        theirs = tx.subscribers.subscriptions(row.id) if row else ()
        names = [sub.publication for sub in theirs if sub.publication in self.settings.audiences]
        name = next(iter(names or self.settings.audiences), "")
        if not row or not name or not _can_be_mailed(tx, one.address, (name,)):
            return False
        if not tx.subscribers.may_ask(one.address, now):
            return False
        letter = self._letter("move", (name,), one, row)
        self._plan(tx, letter, replace(row, address=one.address), name, now)
        return True

    def _letter(self, kind: str, names: tuple[str, ...], one: SignUp, row: SubscriberRow) -> tuple[Document, ...]:
        publication = self.settings.publication(names[0])
        if row.language:
            publication = replace(publication, language=row.language)
        if kind == "already":
            link = preferences_link(publication.site.url, self.secret, row.id, row.links)
        else:
            link = f"{publication.site.url}/confirm/{token('confirm', one.id, self.secret)}"
        titles = tuple(self.settings.publications[name].title for name in names)
        return notice(self.templates).render(kind, publication, titles=titles, link=link)

    def _plan(self, tx: Tx, letter: tuple[Document, ...], to: SubscriberRow, publication: str, now: datetime) -> None:
        issue = tx.issues.notice(publication, letter[0].text, letter, now, language=to.language)
        tx.deliveries.plan(issue.id, [(self.settings.postman(publication), to.address)], now, subscriber=to.id)


def _can_be_mailed(tx: Tx, address: str, publications: tuple[str, ...]) -> bool:
    """Whether nothing stands against a mail to somebody but what they themselves said, and may take back."""
    closed = [one for name in publications for one in tx.suppressions.of(address, name)]
    return all(one.reason in OWN for one in closed)
