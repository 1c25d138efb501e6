"""Pictures of entries, handed on by the house: whoever reads is seen by no other site.

An address names the picture and holds a proof that we made it, so nobody can have other things fetched through us.
What was fetched is kept in a folder for a while.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import tempfile
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from publisher.errors import NetError
from publisher.net import Net
from publisher.tokens import keyed_hash

KEPT = timedelta(days=7)
"""How long a picture that was fetched is shown without looking whether it has changed."""

_PROOF_BYTES = 16
_LARGEST = 10_000_000  # bytes
_PATIENCE = timedelta(seconds=10)
_FAILED_FOR = timedelta(minutes=5).total_seconds()
_LOCKS = 64
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, and what it is by its own first bytes: what its server says of it is not believed."""

    media_type: str
    body: bytes


class Images:
    """The house's own addresses of pictures, and what is behind them.

    Args:
        site: what each address begins with.
        secret: by which proofs are made.
        folder: where pictures are kept; made when it is needed.
        net: the only way out.
        room: bytes of all that is kept; the oldest goes first.
    """

    def __init__(self, *, site: str, secret: str, folder: Path, net: Net, room: int = 1_000_000_000) -> None:
        self._site, self._secret, self._folder = site, secret, folder
        self._net, self._room = net.bound(timeout=_PATIENCE, max_bytes=_LARGEST), room
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        self._failed: dict[str, float] = {}

    def address(self, url: str) -> str:
        """Our address of a picture that is at another; empty for none, and for what has ours already."""
        if not url or url.startswith(f"{self._site}/"):
            return url
        return f"{self._site}/image/{self._proof(url)}/{urlsafe_b64encode(url.encode()).decode().rstrip('=')}"

    def picture(self, proof: str, name: str) -> Picture | None:
        """What is behind one of our addresses; None where it is none of ours, or there is no picture to be had."""
        try:
            url = urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        except (NotBase64, ValueError):
            return None
        if not hmac.compare_digest(proof.encode(), self._proof(url).encode()):
            return None
        key = hashlib.sha256(url.encode()).hexdigest()
        with self._locks[int(key[:8], 16) % _LOCKS]:  # a mail that many open at once is one visit
            body = self._kept(key) or self._fetched(key, url)
        kind = kind_of(body)
        return Picture(kind, body) if kind else None

    def _proof(self, url: str) -> str:
        return keyed_hash(f"image {url}", self._secret, _PROOF_BYTES)

    def _kept(self, key: str) -> bytes:
        file = self._folder / key
        try:
            fresh = time.time() - file.stat().st_mtime < KEPT.total_seconds()
            return file.read_bytes() if fresh else b""
        except OSError:
            return b""

    def _fetched(self, key: str, url: str) -> bytes:
        if time.monotonic() < self._failed.get(key, 0):
            return b""
        try:
            body = self._net.get(url, headers={"Accept": "image/*"}).body
        except NetError:
            body = b""
        if not kind_of(body):
            if len(self._failed) > 10_000:
                self._failed.clear()
            self._failed[key] = time.monotonic() + _FAILED_FOR
            return b""
        with contextlib.suppress(OSError):  # no room: it is fetched again the next time
            self._keep(key, body)
        return body

    def _keep(self, key: str, body: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(len(body))
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".")
        with os.fdopen(handle, "wb") as out:
            out.write(body)
        Path(temporary).replace(self._folder / key)

    def _make_room(self, size: int) -> None:
        """Let go of the oldest, as many as are too many."""
        stats = [(entry.stat(), Path(entry.path)) for entry in os.scandir(self._folder)]
        total = size + sum(stat.st_size for stat, _ in stats)
        for stat, file in sorted(stats, key=lambda kept: kept[0].st_mtime):
            if total <= self._room:
                break
            file.unlink(missing_ok=True)
            total -= stat.st_size


def kind_of(body: bytes) -> str:
    """The media type of a picture that mail programs and browsers show; empty of anything else.

    SVG is none: it is a document, and may hold scripts.
    """
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    if body[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return next((kind for magic, kind in _MAGIC if body.startswith(magic)), "")
