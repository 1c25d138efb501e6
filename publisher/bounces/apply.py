"""What came back takes effect: it is kept, and whoever wants or can get nothing more is suppressed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from publisher.bounces.mail import read
from publisher.bounces.policy import GOOD_AFTER, REASONS, believed, patience_began
from publisher.bounces.providers import Fetch, Provider, Request
from publisher.bounces.returned import Addresses, Returned
from publisher.config import Settings
from publisher.mime import message_id
from publisher.model import Clock
from publisher.replies import Fate
from publisher.store import UNPROVEN, ConsentRow, DeliveryRow, Return, Store, Suppression, Tx
from publisher.tokens import opened

_LOOKED_BACK = 1000  # returns of one address
_LAST_DELIVERIES = 100  # of one address, whose Message-IDs are tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Returns:
    """The desk for all that comes back, whichever way."""

    store: Store
    settings: Settings
    secret: str
    """The key from which Message-IDs and tokens are derived."""
    clock: Clock

    @property
    def addresses(self) -> Addresses:
        """Where mail of ours comes back to, as the channels say."""
        parts = [channel.options for channel in self.settings.channels.values()]
        bounces, unsubscribe = ({getattr(part, name, "") for part in parts} for name in ("bounces", "unsubscribe"))
        return Addresses(bounces=tuple(sorted(bounces - {""})), unsubscribe=tuple(sorted(unsubscribe - {""})))

    def take(self, message: bytes) -> bool:
        """Take a message that came back; whatever its bytes are, only the store can fail.

        Returns:
            False where nothing in it is about mail of ours.

        Raises:
            StoreError: nothing was recorded.
        """
        return self.apply(read(message, self.addresses), event=sha256(message).hexdigest())

    def report(self, provider: Provider, request: Request, fetch: Fetch) -> None:
        """Take a provider's report.

        Raises:
            Forged: it does not come from the provider, or is too old.
            ReportError: it cannot be read.
            StoreError: nothing was recorded.
        """
        found = provider.read(request, self.addresses, fetch)
        # Signed anew at each repetition, so that its bytes tell no repeat; what it says of one day does.
        self.apply(found, event=f"{provider.kind} {request.received:%Y-%m-%d}", verified=True)

    def apply(self, found: Iterable[Returned], *, event: str, verified: bool = False) -> bool:
        """Keep what was told, and suppress whom it says to, in one transaction.  Told again it changes nothing.

        Args:
            event: names the message or report, the same when it comes again.
            verified: a provider has signed it.

        Returns:
            False where nothing of it is about mail of ours, as far as can be seen.
        """
        with self.store.write() as tx:
            ours = [self._apply(tx, one, event, verified=verified) for one in found]
        return any(ours)

    def publication_of(self, token: str) -> str | None:
        """The publication that the reader of an unsubscribe link would leave; None where it is no link of ours."""
        with self.store.read() as tx:
            delivery = self._linked(tx, token)
            return _publication(tx, delivery) if delivery else None

    def unsubscribe(self, token: str, *, everything: bool = False) -> str | None:
        """Send the reader of an unsubscribe link nothing more, of its publication or of all.

        Returns:
            The name of the publication; None where it is no link of ours.
        """
        with self.store.write() as tx:
            delivery = self._linked(tx, token)
            if not delivery:
                return None
            name = _publication(tx, delivery)
            self._leave(tx, delivery, "" if everything else name, door="link", wording="by the link in a mail")
            return name

    def _leave(self, tx: Tx, delivery: DeliveryRow, publication: str, *, door: str, wording: str) -> None:
        """Let the reader of a delivery go: a subscriber by the address that they have now, whoever got a notice by the
        one that it went to.
        """
        issue = tx.issues.get(delivery.issue)
        is_theirs = delivery.subscriber is not None and issue is not None and not issue.is_notice
        row = tx.subscribers.get(delivery.subscriber or 0) if is_theirs else None
        said = ConsentRow(publication=publication, act="left", moment=self.clock(), door=door, wording=wording)
        tx.subscribers.leave(row.address if row else delivery.recipient, said)

    def _apply(self, tx: Tx, found: Returned, event: str, *, verified: bool) -> bool:
        delivery = self._delivery(tx, found)
        if found.fate is Fate.NOTHING:
            return delivery is not None
        fate = believed(found, delivery.recipient if delivery else "", verified=verified)
        row = _row(found, fate, delivery, event, self.clock())
        if not tx.suppressions.note(row) or not fate:
            return True
        if fate is Fate.UNSUBSCRIBE and delivery:
            self._leave(tx, delivery, _publication(tx, delivery), door="mail", wording=row.detail)
        elif reason := _reason(tx, row, fate):
            tx.suppressions.add(Suppression(address=row.address, reason=reason, detail=row.detail, moment=row.moment))
        return True

    def _delivery(self, tx: Tx, found: Returned) -> DeliveryRow | None:
        """The delivery that it shows to know: by its token, else by the Message-ID that its recipient alone got."""
        purposes = ("bounce", "unsubscribe") if found.fate is Fate.UNSUBSCRIBE else ("bounce",)
        numbers = (opened(purpose, found.token, self.secret) for purpose in purposes)
        number = next((number for number in numbers if number is not None), None)
        if number is not None:
            return _personal(tx.deliveries.get(number))
        sent = tx.deliveries.to(found.recipient, limit=_LAST_DELIVERIES) if found.message_id else []
        return next((row for row in sent if found.message_id == self._message_id(row)), None)

    def _message_id(self, row: DeliveryRow) -> str:
        return message_id(row.issue, row.channel, row.recipient, self.settings.site_host, self.secret)

    def _linked(self, tx: Tx, token: str) -> DeliveryRow | None:
        number = opened("unsubscribe", token, self.secret)
        return None if number is None else _personal(tx.deliveries.get(number))


def _personal(delivery: DeliveryRow | None) -> DeliveryRow | None:
    """A delivery to somebody; those of a channel that speaks to one place have no recipient."""
    return delivery if delivery and delivery.recipient else None


def _row(found: Returned, fate: Fate | None, delivery: DeliveryRow | None, event: str, now: datetime) -> Return:
    # A delivery comes back once in each way, whoever tells it how often; of what has none, the words must do.
    told = (delivery.id, fate) if delivery else (event, found)
    return Return(
        key=sha256(repr(told).encode(errors="replace")).hexdigest(),
        delivery=delivery.id if delivery else None,
        address=delivery.recipient if delivery else found.recipient,
        fate=fate or UNPROVEN,
        status=found.status,
        detail=found.detail if fate else f"{found.fate}: {found.detail}",
        moment=now,
    )


def _reason(tx: Tx, row: Return, fate: Fate) -> str:
    """Why its recipient is to be suppressed; empty where they are not."""
    if fate is not Fate.SOFT:
        return REASONS[fate]
    known = tx.suppressions.returned(row.address, limit=_LOOKED_BACK)
    since = patience_began([one.moment for one in known if one.fate == Fate.SOFT], row.moment)
    if not since or tx.suppressions.good_since(row.address, since, row.moment - GOOD_AFTER):
        return ""
    return "soft"


def _publication(tx: Tx, delivery: DeliveryRow) -> str:
    issue = tx.issues.get(delivery.issue)
    assert issue  # noqa: S101 (a delivery's issue is a foreign key)
    return issue.publication
