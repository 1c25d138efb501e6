"""Step 2: entries → feeds and pages.

A publication is rendered when its stamp says that something it is made from changed, and a file is written only when
its bytes did.  What is not a file is made when somebody asks: the first page of the site, and past issues, as they are
for nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from publisher.config import Settings
from publisher.errors import RenderError
from publisher.mime import filled
from publisher.model import Clock, Document, Done, Issue, Outcome, Publication, Selection, Subscriber, Work
from publisher.renderers import FILES, FORMATS, example
from publisher.selection import Choice
from publisher.store import Store, Tx
from publisher.templating import Templates

_ISSUES = 5
"""As many of the last issues are linked on a publication's page."""
_LARGEST = 2**31


def publish(work: Work, settings: Settings, *, store: Store, templates: Templates, clock: Clock) -> Outcome:
    """Render one publication's feeds and pages, and write those that changed.

    Raises:
        RenderError: a template is wrong, or the folder cannot be written; what was there before stays.
    """
    name, feeds = work.subject, settings.publications[work.subject].feeds
    with store.hold(work.run, clock) as held:
        if not held:
            return Done("another process is at work on it")
        with store.read() as tx:
            stamp = current_stamp(tx, name, settings, templates)
            choice = Choice(tx, name, settings, templates, clock())
            entries, next_at, waiting = choice.newest(feeds.limit), choice.next_at, choice.waiting
            issues = past_issues(tx, name, settings, _ISSUES)
        chosen = Selection(
            publication=settings.publication(name),
            entries=entries,
            full=feeds.content == "full",
            offer=settings.offer(name),
            issues=issues,
        )
        try:
            documents = [doc for kind in feeds.formats for doc in FORMATS[kind](templates).render(chosen)]
            written = write(settings.feeds / name, documents)
        except RenderError as error:
            with store.write() as tx:
                tx.publications.trouble(name, error.words)
            raise
        with store.write() as tx:
            tx.publications.stamp(name, stamp, next_at=next_at, error=choice.rules.trouble)
    unsettled = f", {waiting} not settled yet" if waiting else ""
    return Done(f"{len(entries)} entries{unsettled}; wrote {', '.join(written) or 'nothing'}", changed=bool(written))


def stale(tx: Tx, name: str, settings: Settings, templates: Templates, now: datetime) -> bool:
    """Whether what is on disk may differ from what would be rendered now."""
    state = tx.publications.get(name)
    if state and state.next_at and state.next_at <= now:
        return True
    if state is None or state.stamp != current_stamp(tx, name, settings, templates):
        return True
    files = (file for kind in settings.publications[name].feeds.formats for file in FILES[kind])
    return not all((settings.feeds / name / file).is_file() for file in files)


def current_stamp(tx: Tx, name: str, settings: Settings, templates: Templates) -> str:
    """A mark of all that a publication is rendered from: entries' versions, last issues, settings, templates."""
    sources, part = settings.sources_of(name), settings.publications[name]
    told = (settings.publication(name), part.feeds, part.rules, part.settle)
    issues = past_issues(tx, name, settings, _ISSUES)
    parts = (tx.entries.mark(sources), sources, settings.voices(name), *told, settings.offer(name), issues)
    return hashlib.sha256(f"{parts!r}\n{templates.fingerprint()}".encode()).hexdigest()


def write(folder: Path, documents: Iterable[Document]) -> list[str]:
    """Write the documents whose bytes changed, each whole or not at all, and remove those of formats given up.

    Returns:
        The names of the files that were written or removed.

    Raises:
        RenderError: the folder or the disk refuses; files written before stay.
    """
    wanted = {document.name: document.body for document in documents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        given_up = [file for files in FILES.values() for file in files if file not in wanted]
        removed = [file for file in given_up if _removed(folder / file)]
        return [name for name, body in wanted.items() if _written(folder / name, body)] + removed
    except OSError as error:
        raise RenderError(
            f"{folder}: cannot be written: {error.strerror}",
            hint="make room, or give this user the right to write there",
        ) from error


def _written(file: Path, body: bytes) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if file.read_bytes() == body:
            return False
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(body)
            out.flush()
            os.fsync(out.fileno())
        # mkstemp makes files for our eyes only, but a web server under another user serves these.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True


def _removed(file: Path) -> bool:
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


# --- what is made when somebody asks ---------------------------------------------------------------------------------


def newest(
    tx: Tx, settings: Settings, templates: Templates, now: datetime, *, entries: int = 5, issues: int = 3
) -> list[Selection]:
    """Of each publication its newest entries and issues."""
    return [
        Selection(
            publication=settings.publication(name),
            entries=Choice(tx, name, settings, templates, now).newest(entries),
            offer=settings.offer(name),
            issues=past_issues(tx, name, settings, issues),
        )
        for name in settings.publications
    ]


def past_issues(tx: Tx, name: str, settings: Settings, limit: int, *, before: int | None = None) -> tuple[Issue, ...]:
    """The last issues of a publication, newest first, without entries and documents; none where they are not public.

    Args:
        before: only those with a smaller number.
    """
    publication = settings.publication(name)
    rows = tx.issues.editions(name, limit, before=before) if settings.has_archive else ()
    return tuple(
        Issue(number=row.number, publication=publication, created=row.created, entries=(), subject=row.subject)
        for row in rows
    )


def as_sent(tx: Tx, settings: Settings, name: str, number: int, variant: str = "") -> Document | None:
    """The mail of an issue as it was sent, with nobody's links in it; None where there is none, or it is not public."""
    row = tx.issues.edition(name, number, variant) if settings.has_archive and number < _LARGEST else None
    mails = [document for document in tx.issues.documents(row.id) if document.name == "mail.html"] if row else []
    return _for_nobody(mails[0], settings.publication(name)) if mails else None


def _for_nobody(mail: Document, publication: Publication) -> Document:
    """Where a reader would leave or choose, anybody may come: those links lead to the form to sign up by."""
    here = publication.address("#subscribe")
    body = filled(mail, Subscriber(unsubscribe=here, preferences=here)).body
    # A mail that is made for each reader was kept as the one of an example.
    stranger = example(publication.site)
    body = body.replace(stranger.unsubscribe.encode(), here.encode()).replace(stranger.address.encode(), b"")
    # What is an article in a mail program is all that there is on a page of its own.
    return replace(mail, body=body.replace(b'role="article"', b'role="main"', 1))
