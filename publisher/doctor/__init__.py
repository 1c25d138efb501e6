"""What should be mended so that mail arrives: the records in DNS, the addresses, the relay.

Each judge takes a domain and the name server, and tells what there is to say; here it is decided who is asked what.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from publisher.config import Settings
from publisher.dkim import Signer
from publisher.doctor import dkim, dmarc, mx, spf
from publisher.doctor.dns import Dns
from publisher.doctor.remarks import Diagnosis, Remark, Remarks, Severity, note, well, wrong
from publisher.errors import NetError
from publisher.mime import bare_address, default_sender

__all__ = ["Diagnosis", "Dns", "Severity", "examine"]

_SUBMISSION = (465, 587)
_HERE = ("localhost", "127.0.0.1", "::1")


def examine(settings: Settings, dns: Dns) -> Iterator[Diagnosis]:
    """Look at all that decides whether mail of the channels of kind ``smtp`` arrives; sends no mail.

    A question that DNS does not answer is a diagnosis too.
    """
    channels = {name: part.options for name, part in settings.channels.items() if part.kind == "smtp"}
    if not channels:
        yield from _at("channels", "relay", iter([note("no channel sends by SMTP, so there is nothing to look at")]))
        return
    yield from _at("site", "mail", _site(settings))
    for name, options in channels.items():
        yield from _channel(f"channels.{name}", options, settings, dns)


def _at(place: str, about: str, remarks: Remarks) -> Iterator[Diagnosis]:
    try:
        for severity, message, mend in remarks:
            yield Diagnosis(place=place, about=about, severity=severity, message=message, mend=mend)
    except NetError as error:
        message = f"could not be asked: {error}"
        mend = error.hint or "Ask again, or ask another name server: --dns ADDRESS"
        yield Diagnosis(place=place, about=about, severity=Severity.UNASKED, message=message, mend=mend)


# --- the site --------------------------------------------------------------------------------------------------------


def _site(settings: Settings) -> Remarks:
    if settings.site.url.startswith("https:"):
        yield well("links in mails are encrypted (https), as unsubscribing with one click needs (RFC 8058)")
    else:
        yield wrong(
            "site.url is not https, which unsubscribing with one click needs (RFC 8058)",
            "Serve the site by https, and write site.url: https://…",
        )
    if settings.site.postal_address:
        yield well("a postal address stands at the end of each mail")
    else:
        yield note("no postal address stands in the mails; many countries ask for one", "Write site.postal_address: …")


# --- a channel -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Way:
    """What a channel of kind ``smtp`` says of itself, as far as others see it."""

    scheme: str
    host: str
    login: bool
    submission: bool
    """The relay takes mail from users (RFC 6409), so that other machines may send it on."""
    author: str
    """The address of ``From``."""
    envelope: str
    """The domain of the envelope's sender, to which bounces go."""
    answers: str
    """The domain that answers go to."""
    signers: tuple[Signer, ...]

    @property
    def domain(self) -> str:
        """That of ``From``."""
        return _domain(self.author)


def _ways(options: Any, settings: Settings) -> list[_Way]:
    """One for each relay; they differ in how it is reached, and in nothing else."""
    return [_way(urlsplit(relay.url), options, settings) for relay in options.relays]


def _way(url: SplitResult, options: Any, settings: Settings) -> _Way:
    author = bare_address(options.sender or default_sender(settings.model_site()))
    keys = options.dkim if isinstance(options.dkim, tuple) else (options.dkim,)
    return _Way(
        scheme=url.scheme,
        host=(url.hostname or "").rstrip("."),
        login=bool(url.username),
        submission=bool(url.username) or url.scheme != "smtp" or url.port in _SUBMISSION,
        author=author,
        envelope=_domain(options.bounces or author),
        answers=_domain(bare_address(options.reply_to or author)),
        signers=tuple(key.signer for key in keys),
    )


def _domain(address: str) -> str:
    return address.rpartition("@")[2].strip("<> ").lower()


def _channel(place: str, options: Any, settings: Settings, dns: Dns) -> Iterator[Diagnosis]:
    try:
        ways = _ways(options, settings)
    except ValueError as error:
        yield from _at(f"{place}.from", "mail", iter([_no_sender(str(error))]))
        return
    yield from _at(f"{place}.url", "relay", map(_encryption, ways))
    ways = [way for way in ways if not way.scheme.startswith("lmtp")]
    if not ways:
        return  # straight into a mail store: nobody on the way asks DNS
    way = ways[0]
    if "." not in way.domain or way.domain.startswith("["):
        yield from _at(f"{place}.from", "mail", iter([_no_sender(f"{way.author} has no domain of the Internet")]))
        return
    for one in ways:
        yield from _at(place, "SPF", spf.judge(one.envelope, one.host, submission=one.submission, dns=dns))
    for signer in way.signers:
        yield from _at(f"{place}.dkim", "DKIM", dkim.judge(signer, dns))
    if not way.signers:
        yield from _at(f"{place}.dkim", "DKIM", iter([_unsigned()]))
    yield from _at(place, "DMARC", dmarc.judge(way.domain, way.envelope, [one.domain for one in way.signers], dns))
    yield from _ways_back(place, way, dns)


def _ways_back(place: str, way: _Way, dns: Dns) -> Iterator[Diagnosis]:
    back = [(way.domain, "answers"), (way.answers, "answers"), (way.envelope, "bounces")]
    for domain in dict.fromkeys(domain for domain, _ in back):
        what = " and ".join(dict.fromkeys(what for one, what in back if one == domain))
        yield from _at(place, "MX", mx.judge(domain, what, dns))


def _no_sender(why: str) -> Remark:
    return wrong(f"no mail from there arrives elsewhere: {why}", "Write from: Name <news@example.org> in the channel.")


def _unsigned() -> Remark:
    return note(
        "we do not sign; the relay may, and that cannot be seen from here",
        "Look into a mail that arrived for a DKIM-Signature with d= and your domain. If there is none, set dkim:",
    )


def _encryption(way: _Way) -> Remark:
    if way.scheme in ("smtps", "smtp+starttls"):
        return well(f"what goes to {way.host} is encrypted")
    if way.host in _HERE:
        return well("the relay is on this machine")
    mend = "Write smtp+starttls:// or smtps:// in url, as the relay offers it."
    if way.login:
        return wrong(f"the password goes to {way.host} without encryption", mend)
    return note(f"what goes to {way.host} is not encrypted", mend)
