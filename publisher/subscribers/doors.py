"""What comes in at a door, looked at before anything of it is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from publisher.config import Settings
from publisher.errors import TooMany, Unfit
from publisher.mime import bare_address
from publisher.store import SignUp, Tx
from publisher.timetable import time_zone

AN_HOUR = timedelta(hours=1)

LONGEST_NAME = 100
_KEPT_BITS = {4: 24, 6: 56}
"""Of a client's address, by its version: a neighbourhood or a household, and not a person."""


def checked(
    settings: Settings,
    languages: Collection[str],
    *,
    address: str,
    publications: Sequence[str],
    name: str = "",
    frequency: str = "",
    topics: Sequence[str] = (),
    language: str = "",
    timezone: str = "",
    door: str,
    network: str = "",
    wording: str = "",
    now: datetime,
) -> SignUp:
    """A sign-up, as it may be kept.

    Args:
        languages: those that there are words in.
        frequency: the written name of a schedule of the publication; empty: its first.
        topics: names of topics of the publication; none: all of it.
        door: see ``SignUp.door``.

    Raises:
        Unfit: something of it cannot be used; the error names the field.
    """
    chosen = tuple(dict.fromkeys(publications))
    if not chosen:
        raise Unfit("Choose at least one.", field="publications")
    if unknown := [name for name in chosen if name not in settings.audiences]:
        raise Unfit(f"There is no {unknown[0]!r} to subscribe to.", field="publications")
    if (frequency or topics) and len(chosen) > 1:
        raise Unfit("How often and about what is said of one publication at a time.", field="publications")
    return SignUp(
        address=address_of(address),
        name=name_of(name),
        publications=chosen,
        frequency=frequency_of(settings, chosen[0], frequency),
        topics=topics_of(settings, chosen[0], topics),
        language=language_of(language, languages),
        timezone=timezone_of(timezone),
        door=door,
        network=network,
        wording=wording,
        moment=now,
    )


def address_of(text: str) -> str:
    """A mail address without a name.

    Raises:
        Unfit: it is none.
    """
    if "<" in text:  # an address is asked for here, not a name with one
        raise Unfit("This is not a mail address.", field="address")
    try:
        return bare_address(text.strip(" "))
    except ValueError:
        raise Unfit("This is not a mail address.", field="address") from None


def name_of(text: str) -> str:
    """What somebody is called, one line.

    Raises:
        Unfit: it has control characters, or is too long.
    """
    name = text.strip()
    if not name.isprintable():
        raise Unfit("A name is one line of plain text.", field="name")
    if len(name) > LONGEST_NAME:
        raise Unfit(f"A name has at most {LONGEST_NAME} characters.", field="name")
    return name


def frequency_of(settings: Settings, publication: str, written: str) -> str:
    """The stored name of a frequency that a publication offers.

    Raises:
        Unfit: it does not.
    """
    try:
        return settings.digest(publication).frequency_named(written)
    except KeyError:
        raise Unfit(f"There is no frequency {written!r}.", field="frequency") from None


def topics_of(settings: Settings, publication: str, names: Sequence[str]) -> tuple[str, ...]:
    """Topics that a publication has; none where all of them are wanted.

    Raises:
        Unfit: it has one of them not.
    """
    known = settings.publications[publication].topics
    if unknown := [name for name in names if name not in known]:
        raise Unfit(f"There is no topic {unknown[0]!r}.", field="topics")
    chosen = set(names)
    return () if chosen == set(known) else tuple(sorted(chosen))


def language_of(tag: str, languages: Collection[str]) -> str:
    """A language that the house speaks; empty stays empty.

    Raises:
        Unfit: it does not speak it.
    """
    if tag and tag not in languages:
        raise Unfit(f"There are no words in the language {tag!r}.", field="language")
    return tag


def timezone_of(name: str) -> str:
    """An IANA time zone; empty stays empty.

    Raises:
        Unfit: there is none of that name.
    """
    try:
        return time_zone(name).key if name else ""
    except ValueError as error:
        raise Unfit(str(error), field="timezone") from None


def network_of(client: str) -> str:
    """The network that a client's address is in, as much of it as is kept; empty where it is no IP address."""
    try:
        ip = ip_address(client)
    except ValueError:
        return ""
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return str(ip_network(f"{ip}/{_KEPT_BITS[ip.version]}", strict=False))


def mind_the_caps(tx: Tx, settings: Settings, network: str, now: datetime) -> None:
    """Let no network, and not the whole world, ask for more mails than the operator allows.

    The answer depends on nothing about the address, so that it tells nothing about it.

    Raises:
        TooMany: in an hour there may be more.
    """
    limits = settings.subscriptions
    if limits is None:
        return
    counted, since = tx.subscribers.signups_since, now - AN_HOUR
    is_full = counted(since) >= limits.per_hour or (network and counted(since, network) >= limits.per_network)
    if is_full:
        raise TooMany("Too many have signed up just now. Please come back in an hour.", retry_after=AN_HOUR)
