"""What a channel is handed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from outside import Clock

from publisher.app import App, load
from publisher.deliver.packer import Packer
from publisher.model import Document, Parcel
from publisher.store import Leased

CONFIG = """
publications:
  weekly: {title: Weekly, digest: {schedule: "mon 08:00", template: mine}, recipients: [ann@example.org]}
"""
WORDS = Document(name="mail.txt", media_type="text/plain", body=b"Was it you?")


def packed(write_config: Callable[[str], Path], clock: Clock, publication: str) -> Parcel:
    """A notice of a publication whose digest is made for each reader, on its way to one."""
    config = write_config(CONFIG)
    (config.parent / "templates").mkdir()
    for kind in ("html", "txt"):
        (config.parent / f"templates/mine.{kind}.j2").write_text("{% if subscriber.name %}Dear you{% endif %}")
    app = App(load(config), clock)
    with app.store.write() as tx:
        issue = tx.issues.notice(publication, "Please confirm", [WORDS], clock())
    packer = Packer(app.settings.channels["outbox"], app.settings, app.store, app.templates, app.secret)
    parcel = packer.parcel(Leased(id=1, issue=issue.id, recipient="ann@example.org", tries=0, first_try=None))
    app.close()
    return parcel


def test_a_notice_says_what_it_says_also_where_the_digest_is_made_for_each_reader(
    write_config: Callable[[str], Path], clock: Clock
) -> None:
    parcel = packed(write_config, clock, "weekly")
    assert (parcel.issue.subject, parcel.issue.documents) == ("Please confirm", (WORDS,))
    assert parcel.subscriber.unsubscribe


def test_an_operator_is_no_subscriber_and_has_nothing_to_leave(
    write_config: Callable[[str], Path], clock: Clock
) -> None:
    subscriber = packed(write_config, clock, "alerts").subscriber
    assert (subscriber.address, subscriber.unsubscribe, subscriber.preferences) == ("ann@example.org", "", "")
