"""Everything this house raises.

::

    PublisherError
    ├── ConfigError            config.yaml is wrong; carries every fault with its line
    ├── NetError               an outgoing request brought no answer to work with
    │   ├── AddressRefused     the host is at an address that we do not talk to
    │   ├── Unreachable        no connection: name, route, refusal, TLS
    │   │   └── UnknownHost    there is no such host
    │   ├── TooSlow            the deadline passed before the answer was complete
    │   ├── TooLarge           more bytes than allowed, after decompression
    │   └── BadStatus          the server answered with a status that is not success
    ├── SourceError            a source answered with something that cannot be read
    │   └── Held               it looks so different from before that the operator has to look first
    ├── RenderError            a template or a document cannot be made
    │   └── TooLong            a document is larger than its readers can take
    ├── ChannelError           a channel is set up wrongly, or refuses us altogether
    │   ├── ChannelDown        a channel cannot be reached now; nothing was said about any parcel
    │   └── ChannelGone        the other side wants nothing from us any more
    ├── Unfit                  what came in at a door cannot be used; tells the field
    ├── TooMany                more come in at a door than may; later
    ├── ReportError            what a mail provider reported cannot be read
    │   └── Forged             it does not come from the provider, or is too old
    └── StoreError             the store cannot be opened, read or written

``Interrupted`` is none of them: the house is closing, and whoever waits leaves what they do as it was.

Foreign errors are translated where they enter: requests and urllib3 in ``net``, feedparser in ``sources``,
Jinja2 in ``templating``, dnspython in ``doctor``, imaplib and poplib in ``mailbox``, sockets in these and in
``channels``, SQLAlchemy in ``store``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


class PublisherError(Exception):
    """The root.

    Args:
        message: what is wrong, naming the place.
        hint: what the reader can do about it; empty when there is nothing to say.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def words(self) -> str:
        """The message with its hint, in one line."""
        return f"{self} ({self.hint})" if self.hint else str(self)


class Interrupted(BaseException):
    """The house is closing while somebody waits.  Nothing is wrong: what handles errors must not take it for one."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong in the configuration: ``config.yaml:12: sources.blog.evry: unknown option``."""

    file: str
    line: int
    """Counted from 1; 0 when the fault has no line of its own."""
    place: str
    """Dotted path of keys, empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        """As a compiler would print it, so that editors can jump to it."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.place}: {self.message}" if self.place else f"{where}: {self.message}"


class ConfigError(PublisherError):
    """The configuration cannot be used; every fault found is in ``faults``."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


class NetError(PublisherError):
    """An outgoing request brought no answer to work with."""

    asked = False
    """The request may have been read whole, and acted upon, whatever became of the answer; told by ``Net.post``."""


class AddressRefused(NetError):
    """The host is at an address that we do not talk to (loopback, private, link-local…)."""


class Unreachable(NetError):
    """No connection: the name, the route, a refusal, or TLS."""


class UnknownHost(Unreachable):
    """There is no such host."""


class TooSlow(NetError):
    """The deadline passed before the answer was complete."""


class TooLarge(NetError):
    """More bytes than allowed, counted after decompression."""


class BadStatus(NetError):
    """The server answered with a status that is not success."""

    def __init__(self, message: str, *, status: int, retry_after: timedelta | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after = retry_after


class SourceError(PublisherError):
    """A source answered with something that cannot be read."""


class Held(SourceError):
    """What a source answered looks so different from before that the operator has to look first.

    It has no hint of its own: what to do needs the name of the source (``health.advice``).
    """


class RenderError(PublisherError):
    """A template or a document cannot be made."""


class TooLong(RenderError):
    """A document is larger than its readers can take."""


class ChannelError(PublisherError):
    """A channel is set up wrongly, or refuses us altogether (a wrong password): retried slowly, and told."""


class ChannelDown(ChannelError):
    """A channel cannot be reached now; nothing was said about any parcel."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class ChannelGone(ChannelError):
    """The other side wants nothing from us any more (HTTP 410): left alone until the channel's options change."""


class Unfit(PublisherError):
    """What came in at a door cannot be used."""

    def __init__(self, message: str, *, field: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class TooMany(PublisherError):
    """More come in at a door than may."""

    def __init__(self, message: str, *, retry_after: timedelta, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class ReportError(PublisherError):
    """What a mail provider reported cannot be read."""


class Forged(ReportError):
    """A report does not come from the provider that it names, or is too old to be believed."""


class StoreError(PublisherError):
    """The store cannot be opened, read or written."""
