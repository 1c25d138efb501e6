"""Step 2: entries → feeds and pages.

A publication is rendered when its stamp says that something it is made from changed, and a file is written only when
its bytes did.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from publisher.config import Settings
from publisher.errors import RenderError
from publisher.model import Clock, Document, Done, Outcome, Selection, Work
from publisher.renderers import FILES, FORMATS
from publisher.store import Store, Tx
from publisher.templating import Templates


def publish(work: Work, settings: Settings, *, store: Store, templates: Templates, clock: Clock) -> Outcome:
    """Render one publication's feeds and pages, and write those that changed.

    Raises:
        RenderError: a template is wrong, or the folder cannot be written; what was there before stays.
    """
    name, feeds = work.subject, settings.publications[work.subject].feeds
    with store.hold(name, clock) as held:
        if not held:
            return Done("another process is at work on it")
        with store.read() as tx:
            stamp = current_stamp(tx, name, settings, templates)
            entries = tx.entries.newest(settings.sources_of(name), feeds.limit)
        chosen = Selection(publication=settings.publication(name), entries=entries, full=feeds.content == "full")
        try:
            documents = [doc for kind in feeds.formats for doc in FORMATS[kind](templates).render(chosen)]
            written = write(settings.feeds / name, documents)
        except RenderError as error:
            with store.write() as tx:
                tx.publications.trouble(name, error.words)
            raise
        with store.write() as tx:
            tx.publications.stamp(name, stamp)
    return Done(f"{len(entries)} entries; wrote {', '.join(written) or 'nothing'}", changed=bool(written))


def stale(tx: Tx, name: str, settings: Settings, templates: Templates) -> bool:
    """Whether what is on disk may differ from what would be rendered now."""
    state = tx.publications.get(name)
    if state is None or state.stamp != current_stamp(tx, name, settings, templates):
        return True
    files = (file for kind in settings.publications[name].feeds.formats for file in FILES[kind])
    return not all((settings.feeds / name / file).is_file() for file in files)


def current_stamp(tx: Tx, name: str, settings: Settings, templates: Templates) -> str:
    """A mark of all that a publication is rendered from: its entries' versions, its settings, its templates."""
    sources = settings.sources_of(name)
    parts = (tx.entries.mark(sources), sources, settings.publication(name), settings.publications[name].feeds)
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
