"""Files in a folder: what would be mailed, to look at or to be picked up."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Annotated, ClassVar

from pydantic import Field

from publisher.channels import Receipts, Way, unsendable
from publisher.channels._mail import From, check_mailboxes
from publisher.errors import ChannelDown, ChannelError, RenderError
from publisher.mime import Letters
from publisher.model import Issue, Parcel, Receipt, Verdict
from publisher.net import Net
from publisher.options import LocalPath


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Write each message as an .eml file, and each issue as a .json file."""

    kind: ClassVar[str] = "folder"
    personal: ClassVar[bool] = True

    path: Annotated[LocalPath, Field(description="Where to write; made when it is not there.")]
    sender: From = ""

    def __post_init__(self) -> None:
        check_mailboxes(**{"from": self.sender})

    def ways(self) -> Sequence[Way]:
        """One."""
        return (Way(send=self.send),)

    def send(self, parcels: Iterable[Parcel], net: Net) -> Receipts:
        """Write each parcel; the same parcel is the same file, so that none is there twice.

        Raises:
            ChannelDown: the disk is full.
            ChannelError: the folder cannot be written.
        """
        letters, recorded = Letters(sender=self.sender), set[int]()
        for parcel in parcels:
            yield self._delivered(parcel, letters, recorded)

    def check(self, net: Net) -> str:
        """Write a file and take it away again."""
        probe = self.path / f".probe-{token_hex(4)}"
        _write(probe, b"")
        with _translated(self.path):
            probe.unlink()
        return f"{self.path} can be written"

    def _delivered(self, parcel: Parcel, letters: Letters, recorded: set[int]) -> Receipt:
        try:
            message = letters.of(parcel.issue).to(parcel)
            self._record(parcel.issue, recorded)
        except (RenderError, ValueError) as error:
            return unsendable(parcel, error)
        name = _file_name(parcel)
        _write(self.path / name, message)
        return Receipt(delivery=parcel.delivery, verdict=Verdict.SENT, detail=name)

    def _record(self, issue: Issue, recorded: set[int]) -> None:
        """Write an issue that was not yet; tests of what is to come and notices have no place among those there are."""
        if issue.id and issue.number and issue.id not in recorded:
            _write(self.path / f"{_stem(issue)}.json", _issue_json(issue))
            recorded.add(issue.id)


KIND = Folder


def _issue_json(issue: Issue) -> bytes:
    try:
        return issue.document("issue.json").body
    except KeyError as error:
        raise RenderError(f"{issue.publication.name}, issue {issue.number} has no document {error}") from error


# --- names -----------------------------------------------------------------------------------------------------------


def _file_name(parcel: Parcel) -> str:
    """``weekly-12-ann-example.org-1f0a…``: readable by its slug, told apart by the hash of its message id."""
    identity = hashlib.sha256(parcel.message_id.encode()).hexdigest()[:8]
    return f"{_stem(parcel.issue)}-{_slug(parcel.recipient)}-{identity}.eml"


def _stem(issue: Issue) -> str:
    name = _slug(issue.publication.name)
    if not issue.number:
        return f"{name}-notice"
    return f"{name}-{issue.number}-{_slug(issue.variant)}" if issue.variant else f"{name}-{issue.number}"


def _slug(text: str) -> str:
    """A piece of a file name, whatever the text holds: at most 60 ASCII letters, digits, dots and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:60] or "x"


# --- the disk --------------------------------------------------------------------------------------------------------


def _write(path: Path, content: bytes) -> None:
    """Write a whole file or none; when this returns, it outlives a power failure."""
    with _translated(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{token_hex(8)}.part")
        try:
            with partial.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """The new name itself is on the disk only after the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refusal(error, folder) from error


def _refusal(error: OSError, folder: Path) -> ChannelError:
    message = f"{folder} cannot be written: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ChannelDown(message, hint="Make room on the disk; what waits is written then.")
    return ChannelError(message, hint="`path` must be a folder, or free to become one, that this process may write in.")
