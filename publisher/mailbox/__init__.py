"""A mailbox that others write to: read and emptied, or looked into with nothing in it changed.

imaplib and poplib speak the protocols; what they lack is done here, since a server may be anybody's: an end to waiting
that no drip of bytes puts off, and an end to what is read into memory.
"""

from __future__ import annotations

from publisher.mailbox.address import Mailbox, mailbox_at
from publisher.mailbox.peek import Mark, Peeked, peek_into_mailbox
from publisher.mailbox.read import Handle, Left, Visit, look_into_mailbox, read_mailbox

__all__ = [
    "Handle",
    "Left",
    "Mailbox",
    "Mark",
    "Peeked",
    "Visit",
    "look_into_mailbox",
    "mailbox_at",
    "peek_into_mailbox",
    "read_mailbox",
]
