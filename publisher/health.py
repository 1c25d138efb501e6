"""When a source is ill, and when the operator is told: decided from what its visits came to, without I/O.

An ailment is one word, so that the same ailment in other words (500 today, 503 tomorrow) is no second message:

- ``failing``: its visits fail, several times in a row and for some time; or a new source cannot be right as it is.
- ``held``: what it brings looks so different from before that the operator has to look first.
- ``ended``: it says that it is over for good (HTTP 410).
- ``certificate``: its visits go well, but soon they will not: the certificate of its server ends.
- ``silent``: its visits go well, but nothing new has come for much longer than its rhythm would have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from publisher.errors import AddressRefused, BadStatus, Held, PublisherError, SourceError, UnknownHost
from publisher.model import Certificate
from publisher.rhythm import gap

FAILING, HELD, ENDED, CERTIFICATE, SILENT = "failing", "held", "ended", "certificate", "silent"

SETTLING = timedelta(minutes=5)
"""How long a turn waits for others, which may have the same cause."""
GATHERING = timedelta(hours=1)
"""How long at most, while others fail of which it is not yet known whether they are ill."""
PATIENCE = timedelta(days=3)
"""A source that was quiet for less is never silent."""

_FAILURES, _LASTING = 3, timedelta(hours=1)
_LONG, _TWICE = timedelta(days=1), 2
"""What is visited once a day fails three times in two days only."""
_WARNED = timedelta(days=14)
_REMAINDER = 5
"""Certificates that are valid for few weeks are replaced late: one is warned of in the last fifth of its time."""
_KNOWN = 8
"""Of a source with fewer entries nobody knows the rhythm."""
_GAPS = 8
_USUAL = 3
"""What has been there so often is the source's habit."""


def of_failed(error: PublisherError, failures: int, lasting: timedelta, *, before: str, is_new: bool) -> str:
    """What a source suffers from whose visit has failed; empty: it need not be more than a hiccup.

    Args:
        before: what it suffered from until now; a visit that fails heals nothing.
        failures: in a row, this one among them.
        lasting: since the first of them.
        is_new: no visit went well ever.  Then what points to a wrong address needs no second failure.
    """
    if before == HELD or isinstance(error, Held):
        return HELD
    if is_new and _is_wrong_address(error):
        return FAILING
    is_ill = (failures >= _FAILURES and lasting >= _LASTING) or (failures >= _TWICE and lasting >= _LONG)
    return FAILING if is_ill else before


def _is_wrong_address(error: PublisherError) -> bool:
    if isinstance(error, BadStatus):
        return 400 <= error.status < 500 and error.status not in (408, 425, 429)
    return isinstance(error, SourceError | UnknownHost | AddressRefused)


def of_well(certificate: Certificate | None, moments: Sequence[datetime], now: datetime) -> str:
    """What a source suffers from whose visit went well; empty: it is well.

    Args:
        certificate: that of its server.
        moments: when its last entries were published; none where no new ones are to be expected.
    """
    if certificate and is_ending(certificate, now):
        return CERTIFICATE
    return SILENT if is_silent(moments, now) else ""


def is_ending(certificate: Certificate, now: datetime) -> bool:
    """Whether it should have been replaced by now: in its last fourteen days, or the last fifth of its time."""
    return certificate.ends - now < min(_WARNED, (certificate.ends - certificate.begins) / _REMAINDER)


def is_silent(moments: Sequence[datetime], now: datetime) -> bool:
    """Whether a source has been quiet for much longer than its rhythm: for more than three days and eight usual gaps.

    Not where it has been quiet for half as long several times before: what posts ten times each Monday is not silent on
    Friday, though its usual gap is an hour.
    """
    told = sorted(set(moments))
    usual = gap(told)
    if usual is None or len(told) < _KNOWN:
        return False
    quiet = now - told[-1]
    habits = sum(2 * (later - earlier) >= quiet for earlier, later in pairwise(told))
    return quiet > max(PATIENCE, _GAPS * usual) and habits < _USUAL


def is_time_to_tell(turned: Sequence[datetime], *, undecided: bool, now: datetime) -> bool:
    """Whether the operator is told now of what has turned: all at once, so that one cause is one message.

    Args:
        turned: when each of those turned of which nothing was told yet.
        undecided: others fail, and will be visited before the first of these has waited for long enough.
    """
    if not turned:
        return False
    waited = now - min(turned)
    return waited >= (GATHERING if undecided else SETTLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What an operator is told of a source that is ill."""

    source: str
    title: str
    ailment: str
    wrong: str
    """What is wrong, in a sentence."""
    since: datetime | None
    """None: it is not known."""
    advice: str
    """What to do next."""


def sentence(ailment: str, *, error: str, expires: datetime | None, last: datetime | None) -> str:
    """What is wrong, in words.

    Args:
        ailment: one of those above.
        error: of the last visit.
        expires: when the certificate does.
        last: when the last entry was published.
    """
    if ailment == CERTIFICATE and expires:
        return f"the certificate of its server ends on {expires:%Y-%m-%d}"
    if ailment == SILENT and last:
        return f"nothing new since {last:%Y-%m-%d}, which is much longer than usual"
    return "it has ended (410 Gone)" if ailment == ENDED else error


def advice(ailment: str, source: str, *, url: str = "") -> str:
    """What to do about it.

    Args:
        source: its name.
        url: where it is, if the configuration does not say so.
    """
    tested = url or source
    if ailment == CERTIFICATE:
        return "tell whoever runs the site; when it has ended, the source cannot be read any more"
    if ailment == ENDED:
        return "remove the source from the configuration, or give its new address"
    if ailment == HELD:
        return (
            f"publisher source test {tested} shows what would be taken now; publisher source accept {source} takes it"
        )
    if ailment == SILENT:
        return f"look whether the site has moved its news: publisher source test {tested}"
    return f"see what it answers now: publisher source test {tested}"


def with_advice(words: str, ailment: str, source: str, *, url: str = "") -> str:
    """What is wrong and what to do about it, in one line; what has failed says it by itself."""
    return words if ailment in ("", FAILING) else f"{words} ({advice(ailment, source, url=url)})"
