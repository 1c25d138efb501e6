"""The house that is measured: on SQLite, with one issue composed for many recipients, and ready to deliver."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from publisher import channels, config, sources
from publisher.app import App
from publisher.channels import Channel, Receipts, Way
from publisher.config import Settings
from publisher.model import Done, Issue, Parcel, Receipt, State, Subscriber, Verdict, Work
from publisher.net import Net

SENDER = "Harbour News <news@news.example.org>"
DOMAIN, SELECTOR = "example.org", "bench"
CHANNEL = "post"
CONNECTIONS = 8

_NOTES = 14  # which make a message of 63 KB
_SENTENCE = "The *Grüße* of the harbour master came with the **evening tide**, and nobody who read them went home. "
_CONFIG = """\
version: 1
site: {{title: Harbour News, url: 'https://news.example.org'}}
sources: {{notes: {{kind: folder, path: notes/}}}}
publications:
  weekly:
    title: The Harbour Weekly
    digest: {{schedule: 'mon 08:00', first_issue: 520w}}
    recipients: [reader@example.org]
    deliver: [{channel}]
channels:
  {channel}: {options}
"""


@dataclass(frozen=True)
class Nowhere:
    """A channel that says at once that each parcel was sent: what it leaves to measure is the ledger."""

    kind: ClassVar[str] = "nowhere"
    personal: ClassVar[bool] = True

    def ways(self) -> Sequence[Way]:
        """One."""
        return (Way(send=self.send, connections=CONNECTIONS, cooperative=True),)

    def send(self, parcels: Iterable[Parcel], net: Net) -> Receipts:
        """Nothing leaves."""
        for parcel in parcels:
            yield Receipt(delivery=parcel.delivery, verdict=Verdict.SENT)

    def check(self, net: Net) -> str:
        """Always well."""
        return "nowhere"


NOWHERE = "{kind: nowhere}"


def smtp(url: str, key: Path | None = None, connections: int = CONNECTIONS) -> str:
    """The options of a channel to a relay; with a key, each message is signed."""
    dkim = f", dkim: {{domain: {DOMAIN}, selector: {SELECTOR}, key: !file {key}}}" if key else ""
    return f"{{kind: smtp, url: '{url}', from: {SENDER}, connections: {connections}{dkim}}}"


def furnish(folder: Path, options: str) -> Path:
    """Write configuration and notes; returns the configuration's file."""
    (folder / "notes").mkdir()
    for number in range(_NOTES):
        day = datetime.now(UTC) - timedelta(days=number + 1)
        text = f"---\ntitle: Note {number} from the harbour\ndate: {day:%Y-%m-%dT%H:%M:%SZ}\n---\n{_SENTENCE * 11}\n"
        (folder / "notes" / f"{number}.md").write_text(text)
    file = folder / "config.yaml"
    file.write_text(_CONFIG.format(channel=CHANNEL, options=options))
    return file


def compose(folder: Path, recipients: int, options: str) -> App:
    """A new house with an issue to that many recipients, of whom none has got it yet."""
    app = App(_with_recipients(_loaded(furnish(folder, options)), recipients))
    for step in ("collect", "compose"):
        for work in app.due(step):
            app.do(work)
    return app


def issue_of(app: App) -> Issue:
    """The issue, as channels get it."""
    issue, _ = app.preview("weekly")
    return issue


def deliver(app: App, recipients: int) -> None:
    """Deliver the issue, and see that the ledger says the same of all recipients: sent."""
    outcome = app.do(Work(step="deliver", subject=CHANNEL))
    if outcome != Done(f"{recipients} sent", changed=True) or sent(app) != recipients:
        raise SystemExit(f"not all were sent: {outcome}")


def send(app: App, issue: Issue, recipients: int) -> None:
    """Send an issue of which the ledger knows nothing."""
    parcels = (parcel(issue, number) for number in range(recipients))
    channel: Channel = app.settings.channels[CHANNEL].options
    if any(receipt.verdict is not Verdict.SENT for receipt in channel.send(parcels, app.net)):
        raise SystemExit("not all were sent")


def parcel(issue: Issue, number: int) -> Parcel:
    """The issue on its way to one reader."""
    address = f"reader{number}@example.org"
    return Parcel(
        delivery=number,
        recipient=address,
        message_id=f"{number}@news.example.org",
        issue=issue,
        subscriber=Subscriber(address=address, unsubscribe=unsubscribe(number)),
    )


def unsubscribe(number: int) -> str:
    """Where a reader leaves the list."""
    return f"https://news.example.org/unsubscribe/{number:032}"


def sent(app: App) -> int:
    """How many deliveries are settled as sent."""
    with app.store.read() as tx:
        return tx.deliveries.by_state().get(State.SENT, 0)


def span(app: App) -> float:
    """Seconds from the first verdict to the last."""
    with app.store.read() as tx:
        rows = tx.deliveries.list(limit=sys.maxsize)
    first, last = min(row.first_try for row in rows if row.first_try), max(row.settled for row in rows if row.settled)
    return (last - first).total_seconds()


def _loaded(file: Path) -> Settings:
    known: dict[str, type[Channel]] = {**channels.kinds(), Nowhere.kind: Nowhere}
    return config.load(file, sources=sources.kinds(), channels=known, environ=os.environ)


def _with_recipients(settings: Settings, count: int) -> Settings:
    """Put in past the file: to read a hundred thousand addresses from YAML takes longer than to mail them."""
    addresses = tuple(f"reader{number}@example.org" for number in range(count))
    weekly = settings.publications["weekly"].model_copy(update={"recipients": addresses})
    return settings.model_copy(update={"publications": {"weekly": weekly}})


def peak() -> float:
    """Megabytes of memory that this process has held at most; not ``ru_maxrss``, which is inherited."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1000 if found else 0


if __name__ == "__main__":
    with closing(compose(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])) as whole:
        deliver(whole, int(sys.argv[2]))
