"""The readers: they sign up, confirm, choose, leave, and vanish.

A door keeps what came in (``Readers.sign_up``); the step ``subscribe`` answers it by mail; the link in that mail makes
a subscription.  From then on each mail has a link to all that its reader may decide.  Each decision is committed
together with its line in the log of consents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO, TextIO

from publisher import html
from publisher.config import Settings
from publisher.errors import Unfit
from publisher.mime import address_key
from publisher.model import Clock
from publisher.store import ConsentRow, SignUp, Store, SubscriberRow, SubscriptionRow, Suppression, Tx
from publisher.subscribers import doors
from publisher.subscribers.answers import subscribe
from publisher.subscribers.cells import harmless
from publisher.subscribers.doors import network_of
from publisher.subscribers.exports import export
from publisher.subscribers.imports import OUTCOMES, Importer, Refusal, Tally, Terms
from publisher.subscribers.preferences import Change, Choice, Option, Preferences, Wanted, choice
from publisher.templating import Templates
from publisher.tokens import claimed, opened, preferences, preferences_link

__all__ = [
    "OUTCOMES",
    "Asked",
    "Change",
    "Choice",
    "Option",
    "Preferences",
    "Readers",
    "Refusal",
    "Tally",
    "Terms",
    "Wanted",
    "harmless",
    "network_of",
    "subscribe",
]

_ID = re.compile(r"[0-9]{1,18}")
_DELIVERIES = 10_000
"""As many of a reader's deliveries are in the copy of their data, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the link of a confirmation mail leads to."""

    address: str
    titles: tuple[str, ...]
    """Of the publications that it is about; none where it is about a new address."""
    language: str
    """BCP 47 tag, in which it is asked."""
    wording: str
    """What a press of the button says yes to."""
    is_move: bool
    """It is about a new address for somebody who is a reader already."""
    done: bool
    """It has been said yes to."""
    preferences: str = ""
    """Where they choose what they get, once they have confirmed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """The desk for all that readers decide."""

    store: Store
    settings: Settings
    templates: Templates
    secret: str
    """The key from which tokens are derived."""
    clock: Clock

    # --- sign-up -----------------------------------------------------------------------------------------------------

    def sign_up(
        self,
        address: str,
        publications: Sequence[str],
        *,
        name: str = "",
        frequency: str = "",
        topics: Sequence[str] = (),
        language: str = "",
        timezone: str = "",
        door: str,
        network: str = "",
        wording: str = "",
    ) -> None:
        """Keep a sign-up; the step ``subscribe`` answers it.

        What this does, and how long it takes, is the same for any address.

        Args:
            frequency: a written name; empty: the first of each publication.
            topics: names; none: all of it.
            door: ``page``, ``form``, ``api`` or ``operator``.  The last two are trusted, and know no caps.
            network: see ``network_of``.
            wording: what was shown to them.

        Raises:
            Unfit: something of it cannot be used.
            TooMany: more have signed up within an hour than may.
            StoreError: nothing was kept.
        """
        now = self.clock()
        kept = doors.checked(
            self.settings,
            self.languages,
            address=address,
            publications=publications,
            name=name,
            frequency=frequency,
            topics=topics,
            language=language,
            timezone=timezone,
            door=door,
            network=network,
            wording=wording,
            now=now,
        )
        with self.store.write() as tx:
            if door not in ("api", "operator"):
                doors.mind_the_caps(tx, self.settings, network, now)
            tx.subscribers.sign_up(kept)

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that readers may choose from: what the templates speak, and what the publications are in."""
        own = {self.settings.site.language, *(part.language for part in self.settings.publications.values())}
        return tuple(sorted(own.union(self.templates.languages())))

    def wording(self, publications: Sequence[str], language: str = "") -> str:
        """What somebody says yes to who subscribes to these, as plain text."""
        titles = [self.settings.publications[name].title for name in publications]
        spoken = self.spoken(publications, language)
        said = self.templates.render("consent.html.j2", titles=titles, site=self.settings.model_site(), language=spoken)
        return html.plain(said)

    def spoken(self, publications: Sequence[str], language: str = "") -> str:
        """The language of what is said about these: the reader's, else that of the publications, else the site's."""
        own = {self.settings.publications[name].language for name in publications}
        return language or (own.pop() if len(own) == 1 else self.settings.site.language)

    # --- confirmation ------------------------------------------------------------------------------------------------

    def asked(self, token: str) -> Asked | None:
        """What a confirmation link asks.  Looking at it changes nothing.

        Returns:
            None where it is no link of ours, or it came to its end.
        """
        with self.store.read() as tx:
            one = self._asked(tx, token)
            return self._told(tx, one) if one else None

    def confirm(self, token: str, *, network: str = "") -> Asked | None:
        """Say yes to what a confirmation link asks.  To say it twice changes nothing.

        Returns:
            What was confirmed; None where it is no link of ours, it came to its end, or the address is by now that of
            another reader.
        """
        with self.store.write() as tx:
            one = self._asked(tx, token)
            if one is None or not (self._move(tx, one, network) if one.subscriber else self._begin(tx, one, network)):
                return None
            return self._told(tx, one)

    def _asked(self, tx: Tx, token: str) -> SignUp | None:
        number = opened("confirm", token, self.secret)
        one = tx.subscribers.signed_up(number) if number is not None else None
        limits = self.settings.subscriptions
        if one is None or limits is None or self.clock() > one.moment + limits.confirm_within:
            return None
        return one

    def _told(self, tx: Tx, one: SignUp) -> Asked:
        row = tx.subscribers.by_address(one.address)
        names = self._open(one)
        active = (
            {sub.publication for sub in tx.subscribers.subscriptions(row.id) if sub.state == "active"} if row else ()
        )
        done = bool(row and row.id == one.subscriber) if one.subscriber else bool(names) and set(names) <= set(active)
        language = self.spoken(names, (row.language if row else "") or one.language)
        return Asked(
            address=one.address,
            titles=tuple(self.settings.publications[name].title for name in names),
            language=language,
            wording=self.wording(names, language) if names else "",
            is_move=one.subscriber is not None,
            done=done,
            preferences=self.link(row) if row and done else "",
        )

    def _open(self, one: SignUp) -> tuple[str, ...]:
        return tuple(name for name in self.settings.audiences if name in one.publications)

    def _begin(self, tx: Tx, one: SignUp, network: str) -> bool:
        """Make the subscriptions that somebody signed up for."""
        now = self.clock()
        row = tx.subscribers.add(one.address, name=one.name, language=one.language, timezone=one.timezone, now=now)
        said = ConsentRow(act="confirmed", moment=now, door="link", network=network)
        names = self._open(one)
        for name in names:
            known = _of(tx, row, name)
            if known and known.state == "active":
                continue
            wanted = SubscriptionRow(
                subscriber=row.id,
                publication=name,
                state="active",
                frequency=one.frequency,
                topics=one.topics,
                asked=one.moment,
                confirmed=now,
            )
            self._activate(tx, row, wanted, replace(said, wording=self.wording([name], one.language)))
        return bool(names)

    def _activate(self, tx: Tx, row: SubscriberRow, wanted: SubscriptionRow, said: ConsentRow) -> None:
        """Let somebody get a publication who has just said so."""
        others = [name for name in self.settings.audiences if name != wanted.publication]
        tx.suppressions.lift(row.address, wanted.publication, others)
        tx.subscribers.subscribe(wanted)
        tx.subscribers.consent(row.address, replace(said, publication=wanted.publication))

    def _move(self, tx: Tx, one: SignUp, network: str) -> bool:
        """Reach a subscriber at a new address from now on; the links that went to the former one are dead."""
        row = tx.subscribers.get(one.subscriber or 0)
        if row is None:
            return False
        if address_key(row.address) == address_key(one.address):
            return True
        if tx.subscribers.put(replace(row, address=one.address)) is None:
            return False
        for address in (row.address, one.address):
            tx.subscribers.consent(address, ConsentRow(act="moved", moment=self.clock(), door="link", network=network))
        return True

    # --- preferences -------------------------------------------------------------------------------------------------

    def link(self, row: SubscriberRow) -> str:
        """Where a subscriber chooses what they get."""
        return preferences_link(self.settings.site.url, self.secret, row.id, row.links)

    def preferences(self, token: str) -> Preferences | None:
        """What the reader of a link can choose.  Looking at it changes nothing.

        Returns:
            None where it is no link of ours, or one of before a change of address.
        """
        with self.store.read() as tx:
            row = self._linked(tx, token)
            return self._preferences(tx, row) if row else None

    def change(self, token: str, change: Change, *, network: str = "") -> Preferences | None:
        """Do as the reader of a link wants.

        Raises:
            Unfit: something of it cannot be used; nothing was changed.
        """
        with self.store.write() as tx:
            row = self._linked(tx, token)
            if row is None:
                return None
            return self._preferences(tx, self._change(tx, row, change, door="link", network=network))

    def amend_by_hand(
        self,
        address: str,
        publications: Mapping[str, Mapping[str, Any]],
        change: Mapping[str, Any],
        *,
        by: str,
        consent: str = "",
    ) -> Preferences | None:
        """Do as a program has told us, which says only what is to be different; None where they are no subscriber.

        Args:
            publications: by name, the fields of ``Wanted`` that shall change.
            change: the other fields of ``Change`` that shall.
            by: which program; it is kept in the log.
            consent: how it is known that they want what they do not get yet; it is kept instead.

        Raises:
            Unfit: something of it cannot be used, or stands against mailing them, or consent is missing; nothing was
                changed.
        """
        with self.store.write() as tx:
            row = tx.subscribers.by_address(address)
            if row is None:
                return None
            wanted = {name: self._amended(tx, row, name, told, consent) for name, told in publications.items()}
            whole = Change(publications=wanted, **change)
            return self._preferences(tx, self._change(tx, row, whole, door="api", wording=consent or by))

    def _amended(self, tx: Tx, row: SubscriberRow, name: str, told: Mapping[str, Any], consent: str) -> Wanted:
        """What is wanted of a publication where what is not told stays as it is, as far as it is still offered."""
        if name not in self.settings.audiences:
            raise Unfit(f"There is no {name!r} to subscribe to.", field="publications")
        known = _of(tx, row, name) or SubscriptionRow(subscriber=row.id, publication=name, state="")
        is_active = known.state == "active"
        stays = Wanted(
            subscribed=is_active,
            frequency=self.settings.digest(name).frequency(known.frequency),
            topics=tuple(topic for topic in known.topics if topic in self.settings.publications[name].topics),
        )
        wanted = replace(stays, **told)
        if wanted.subscribed and not is_active:
            if not consent:
                raise Unfit("Say how it is known that they want it.", field="consent")
            _mind_the_list(tx, row.address, name)
        elif not wanted.subscribed and "subscribed" not in told:
            raise Unfit(f"They do not get {name!r}: say that they are to be subscribed.", field="publications")
        return wanted

    def known(self, who: str) -> SubscriberRow | None:
        """A subscriber, by address or by id; None where there is none."""
        with self.store.read() as tx:
            return tx.subscribers.get(int(who)) if _ID.fullmatch(who) else tx.subscribers.by_address(who)

    def suppress(self, address: str, publication: str = "", *, detail: str) -> bool:
        """Send somebody nothing more; False where they were on the list already.

        Args:
            publication: nothing of that one; empty: nothing at all.
            detail: who says so; it is kept on the list.

        Raises:
            Unfit: it is no address, or there is no such publication.
        """
        if publication and publication not in self.settings.publications:
            raise Unfit(f"There is no publication {publication!r}.", field="publication")
        to, now = doors.address_of(address), self.clock()
        entry = Suppression(address=to, publication=publication, reason="by hand", detail=detail, moment=now)
        with self.store.write() as tx:
            return tx.suppressions.add(entry)

    def enrol(
        self,
        address: str,
        publications: Sequence[str],
        *,
        name: str = "",
        frequency: str = "",
        topics: Sequence[str] = (),
        language: str = "",
        timezone: str = "",
        door: str,
        wording: str,
    ) -> SubscriberRow:
        """Let somebody get publications without a confirmation, because their consent is known.

        Args:
            door: ``operator``, ``api`` or ``import``.
            wording: how it is known; it is kept in the log.

        Raises:
            Unfit: it is no address, or there is no such publication; or something stands against mailing them that
                they alone can take back, or nobody can.
        """
        now = self.clock()
        one = doors.checked(
            self.settings,
            self.languages,
            address=address,
            publications=publications,
            name=name,
            frequency=frequency,
            topics=topics,
            language=language,
            timezone=timezone,
            door=door,
            wording=wording,
            now=now,
        )
        with self.store.write() as tx:
            for publication in one.publications:
                _mind_the_list(tx, one.address, publication)
            row = tx.subscribers.add(one.address, name=one.name, language=one.language, timezone=one.timezone, now=now)
            for publication in one.publications:
                if (known := _of(tx, row, publication)) and known.state == "active":
                    continue
                wanted = SubscriptionRow(
                    subscriber=row.id,
                    publication=publication,
                    state="active",
                    frequency=one.frequency,
                    topics=one.topics,
                    confirmed=now,
                )
                tx.subscribers.subscribe(wanted)
                said = ConsentRow(publication=publication, act="enrolled", moment=now, door=door, wording=wording)
                tx.subscribers.consent(row.address, said)
            return row

    def confirm_by_hand(self, address: str, publication: str, *, door: str, wording: str) -> bool:
        """Let somebody get what they signed up for, as they have told the operator in another way than by the link.

        Args:
            wording: how they said it; it is kept in the log.

        Returns:
            False where nothing of theirs waits for a confirmation.

        Raises:
            Unfit: something stands against mailing them that they alone can take back, or nobody can.
        """
        now = self.clock()
        with self.store.write() as tx:
            row = tx.subscribers.by_address(address)
            waits = _of(tx, row, publication) if row else None
            if row is None or waits is None or waits.state != "pending":
                return False
            _mind_the_list(tx, row.address, publication)
            tx.subscribers.subscribe(replace(waits, state="active", confirmed=now))
            said = ConsentRow(publication=publication, act="confirmed", moment=now, door=door, wording=wording)
            tx.subscribers.consent(row.address, said)
            return True

    def history(self, address: str) -> tuple[ConsentRow, ...]:
        """What the log of consents knows of an address, the first first; of those who were erased, too."""
        with self.store.read() as tx:
            return tx.subscribers.history(address)

    def _preferences(self, tx: Tx, row: SubscriberRow) -> Preferences:
        subs = {sub.publication: sub for sub in tx.subscribers.subscriptions(row.id)}
        return Preferences(
            subscriber=row,
            choices=tuple(choice(self.settings, name, subs.get(name)) for name in self.settings.audiences),
            languages=self.languages,
            paused=bool(row.paused_until and row.paused_until > self.clock()),
        )

    def _change(
        self, tx: Tx, row: SubscriberRow, change: Change, *, door: str, network: str = "", wording: str = ""
    ) -> SubscriberRow:
        said = ConsentRow(act="changed", moment=self.clock(), door=door, network=network, wording=wording)
        person = replace(
            row,
            name=row.name if change.name is None else doors.name_of(change.name),
            language=row.language if change.language is None else doors.language_of(change.language, self.languages),
            timezone=row.timezone if change.timezone is None else doors.timezone_of(change.timezone),
            paused_until=row.paused_until if change.paused_until is None else change.paused_until,
        )
        if person != row:
            row = tx.subscribers.put(person) or row
        for name, wanted in change.publications.items():
            self._want(tx, row, name, wanted, said)
        return row

    def _want(self, tx: Tx, row: SubscriberRow, name: str, wanted: Wanted, said: ConsentRow) -> None:
        """Let somebody get, or get no more, one publication, as often and about what they say."""
        if name not in self.settings.audiences:
            raise Unfit(f"There is no {name!r} to subscribe to.", field="publications")
        known = _of(tx, row, name)
        is_active = known is not None and known.state == "active"
        if not wanted.subscribed:
            if is_active:
                tx.subscribers.leave(row.address, replace(said, publication=name, act="left"))
            return
        base = known if known and is_active else SubscriptionRow(subscriber=row.id, publication=name, state="active")
        frequency, former = doors.frequency_of(self.settings, name, wanted.frequency), self._frequency(base)
        chosen = replace(
            base,
            frequency=frequency,
            topics=doors.topics_of(self.settings, name, wanted.topics),
            since=tx.subscribers.told_until(base, former) if is_active and frequency != former else base.since,
            confirmed=base.confirmed or said.moment,
        )
        if not is_active:
            wording = said.wording or self.wording([name], row.language)
            self._activate(tx, row, chosen, replace(said, act="confirmed", wording=wording))
        elif chosen != base:
            tx.subscribers.subscribe(chosen)
            tx.subscribers.consent(row.address, replace(said, publication=name, wording=self._choice(chosen)))

    def _frequency(self, sub: SubscriptionRow) -> str:
        """By which of a publication's schedules somebody gets it."""
        return self.settings.digest(sub.publication).frequency(sub.frequency)

    def _choice(self, sub: SubscriptionRow) -> str:
        """What was chosen, for the log."""
        frequency = sub.frequency or self.settings.digest(sub.publication).default_frequency
        return "; ".join(filter(None, (frequency, ", ".join(sub.topics) or "all topics")))

    def _linked(self, tx: Tx, token: str) -> SubscriberRow | None:
        number = claimed(token)
        row = tx.subscribers.get(number) if number is not None else None
        # Where there is none it is compared all the same: how long it takes tells nothing.
        right = opened(preferences(row.links if row else 0), token, self.secret)
        return row if right is not None else None

    def move(self, token: str, address: str, *, network: str = "") -> None:
        """Ask at a new address whether it is that of the reader of a link; until they say so there, nothing changes.

        Raises:
            Unfit: it is no address, or the link is none of ours.
            TooMany: too much comes from that network.
        """
        now, to = self.clock(), doors.address_of(address)
        with self.store.write() as tx:
            row = self._linked(tx, token)
            if row is None:
                raise Unfit("This link does not work any more.", field="token")
            doors.mind_the_caps(tx, self.settings, network, now)
            tx.subscribers.sign_up(
                SignUp(
                    address=to,
                    publications=(),
                    language=row.language,
                    door="link",
                    network=network,
                    moment=now,
                    subscriber=row.id,
                )
            )

    # --- lists -------------------------------------------------------------------------------------------------------

    def take_over(
        self,
        stream: BinaryIO,
        file: str,
        terms: Terms,
        *,
        refused: Callable[[Refusal], None] = lambda refusal: None,
        told: Callable[[Tally], None] = lambda tally: None,
    ) -> Tally:
        """Take over a list that another system exported, or this one; see ``Importer.take_over``."""
        importer = Importer(
            store=self.store,
            settings=self.settings,
            languages=self.languages,
            clock=self.clock,
            terms=terms,
            file=file,
        )
        return importer.take_over(stream, refused, told)

    def export(
        self,
        out: TextIO,
        *,
        publication: str = "",
        state: str = "",
        told: Callable[[int], None] = lambda count: None,
    ) -> int:
        """Write the list of readers as CSV; see ``exports.export``."""
        return export(self.store, self.settings, out, publication=publication, state=state, told=told)

    # --- leaving -----------------------------------------------------------------------------------------------------

    def data(self, token: str) -> dict[str, Any] | None:
        """All that is known of the reader of a link, for them to keep; None where it is no link of ours."""
        with self.store.read() as tx:
            row = self._linked(tx, token)
            return dict(self._data(tx, row)) if row else None

    def _data(self, tx: Tx, row: SubscriberRow) -> Iterator[tuple[str, Any]]:
        yield "subscriber", asdict(row)
        yield "subscriptions", [asdict(sub) for sub in tx.subscribers.subscriptions(row.id)]
        yield "consents", [asdict(said) for said in tx.subscribers.history(row.address)]
        yield "suppressions", [asdict(one) for one in tx.suppressions.of(row.address)]
        yield "returns", [asdict(one) for one in tx.suppressions.returned(row.address, limit=_DELIVERIES)]
        told = ("id", "issue", "channel", "recipient", "state", "planned", "settled", "detail")
        rows = tx.deliveries.to(row.address, limit=_DELIVERIES)
        yield "deliveries", [{name: getattr(delivery, name) for name in told} for delivery in rows]

    def remove(self, address: str, publication: str = "", *, door: str, wording: str) -> bool:
        """Send somebody nothing more of a publication, or of any, as they have told the operator.

        Args:
            wording: how they said it; it is kept in the log.

        Returns:
            False where they are no subscriber; they are on the suppression list all the same.

        Raises:
            Unfit: it is no address, or there is no such publication.
        """
        where = doors.address_of(address)
        if publication and publication not in self.settings.publications:
            raise Unfit(f"There is no {publication!r}.", field="publications")
        said = ConsentRow(publication=publication, act="left", moment=self.clock(), door=door, wording=wording)
        with self.store.write() as tx:
            tx.subscribers.leave(where, said)
            return tx.subscribers.by_address(where) is not None

    def erase(self, token: str, *, network: str = "") -> bool:
        """Forget the reader of a link: nothing that is kept tells who they were.

        Returns:
            False where it is no link of ours.
        """
        with self.store.write() as tx:
            row = self._linked(tx, token)
            if row:
                self._erase(tx, row, door="link", network=network)
            return row is not None

    def erase_by_hand(self, address: str, *, door: str) -> bool:
        """The same, as somebody has told the operator; False where there is no such subscriber."""
        with self.store.write() as tx:
            row = tx.subscribers.by_address(address)
            if row:
                self._erase(tx, row, door=door)
            return row is not None

    def _erase(self, tx: Tx, row: SubscriberRow, *, door: str, network: str = "") -> None:
        tx.subscribers.consent(row.address, ConsentRow(act="erased", moment=self.clock(), door=door, network=network))
        tx.subscribers.erase(row.id, self.clock())


def _of(tx: Tx, row: SubscriberRow, publication: str) -> SubscriptionRow | None:
    return next((sub for sub in tx.subscribers.subscriptions(row.id) if sub.publication == publication), None)


def _mind_the_list(tx: Tx, address: str, publication: str) -> None:
    """Let nobody be subscribed by others who is on the suppression list, for whatever reason.

    Raises:
        Unfit: they are.
    """
    if closed := tx.suppressions.of(address, publication):
        raise Unfit(
            f"{address} is on the suppression list ({closed[0].reason})",
            field="address",
            hint="let them sign up themselves",
        )
