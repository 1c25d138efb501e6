"""Where a mailbox is, and as whom it is entered."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

_PORTS = {"imaps": 993, "imap+starttls": 143, "imap": 143, "pop3s": 995, "pop3+starttls": 110, "pop3": 110}


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where messages are fetched, and as whom."""

    scheme: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    folder: str
    """``INBOX`` or another one; POP3 knows no others."""

    @property
    def place(self) -> str:
        """How it is named to the operator."""
        return f"{self.host}:{self.port}"


def mailbox_at(url: str) -> Mailbox:
    """Read ``imaps://user:password@host/INBOX``; also imap+starttls, imap (not encrypted), and the same with pop3.

    Raises:
        ValueError: it is no such address; the message shows nothing of it, for it holds a password.
    """
    parts = _split(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"url: it begins with {'://, '.join(_PORTS)}://")
    user, password, folder = (unquote(text or "") for text in (parts.username, parts.password, parts.path[1:]))
    if not user or not password:
        raise ValueError("url: a user and a password must stand in it: imaps://user:password@host/INBOX")
    if not (user + password).isprintable():
        raise ValueError("url: a user and a password have no control characters")
    if not (folder.isascii() and folder.isprintable()) or (folder and parts.scheme.startswith("pop3")):
        raise ValueError("url: after the host comes a folder, in ASCII and for IMAP only")
    port = parts.port or _PORTS[parts.scheme]
    return Mailbox(parts.scheme, parts.hostname or "", port, user, password, folder or "INBOX")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        well = parts.hostname and parts.port != 0 and not parts.query and not parts.fragment
    except ValueError:
        well = False
    if not well:
        raise ValueError("url: write imaps://user:password@host/INBOX, with / ? # @ : in a password as %2F %3F %23 …")
    return parts
