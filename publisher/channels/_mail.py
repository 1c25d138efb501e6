"""What the kinds that send mail have in common: their options, which say whose mail it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated

from pydantic import Discriminator, Field, Tag

from publisher.dkim import Signer
from publisher.mime import check_address
from publisher.options import Secret

_LONGEST_LOCAL = 64  # RFC 5321 section 4.5.3.1.1
_TOKEN = 46  # characters that a token has at most


@dataclass(frozen=True, kw_only=True)
class Dkim:
    """A domain's signature above each message (RFC 6376)."""

    domain: Annotated[str, Field(description="Who answers for the mail: the domain of `from`, or one above it.")]
    selector: Annotated[str, Field(description="Which key: DNS has the public one at selector._domainkey.domain.")]
    key: Annotated[Secret, Field(description="The private key in PEM: RSA, best of 2048 bits, or Ed25519.")] = field(
        repr=False
    )

    def __post_init__(self) -> None:
        _ = self.signer

    @cached_property
    def signer(self) -> Signer:
        """Made once: to read an RSA key takes as long as to sign a hundred messages."""
        return Signer(self.domain, self.selector, self.key)


one_or_more = Discriminator(lambda value: "more" if isinstance(value, list | tuple) else "one")
"""Tells a list (tag ``more``) from a value that stands alone (tag ``one``)."""

From = Annotated[
    str,
    Field(alias="from", description="Who it is from: Name <address>. Left out: the site's title, news@ its host."),
]
ReplyTo = Annotated[str, Field(description="Where answers go, when not to the sender.")]
Bounces = Annotated[
    str,
    Field(
        description="Where mail that cannot be delivered comes back to: bounce+{token}@example.org, with another "
        "{token} for each delivery. Left out: `from`."
    ),
]
Unsubscribe = Annotated[
    str,
    Field(
        description="Where readers unsubscribe by mail: unsubscribe+{token}@example.org, with another {token} for each "
        "delivery. Left out: only by the link."
    ),
]
Signatures = Annotated[
    Annotated[Dkim, Tag("one")] | Annotated[tuple[Dkim, ...], Tag("more")],
    one_or_more,
    Field(description="What signs each message (DKIM); a list signs with each, such as RSA and Ed25519."),
]


def signers(dkim: Dkim | Sequence[Dkim]) -> list[Signer]:
    """Whatever the option ``dkim`` holds, as a list."""
    return [one.signer for one in ([dkim] if isinstance(dkim, Dkim) else dkim)]


def check_mailboxes(**options: str) -> None:
    """Check the addresses of options; an empty one is none.

    Raises:
        ValueError: one is no address; the message begins with the option's name.
    """
    for option, address in options.items():
        try:
            _ = address and check_address(address)
        except ValueError as error:
            raise ValueError(f"{option}: {address!r}: {error}") from None


def check_returns(**options: str) -> None:
    """Check options that are addresses with a place for a token; an empty one is none.

    Raises:
        ValueError: there is no place for the token in one, or it makes no address; the message begins with its name.
    """
    for option, pattern in options.items():
        if pattern:
            _check_pattern(option, pattern)


def _check_pattern(option: str, pattern: str) -> None:
    local, token, domain = pattern.partition("{token}")
    if not token or "@" in local or not domain.startswith("@"):
        raise ValueError(f"{option}: write {option}+{{token}}@example.org, with {{token}} right before the @")
    if len(local) > _LONGEST_LOCAL - _TOKEN:
        raise ValueError(f"{option}: at most {_LONGEST_LOCAL - _TOKEN} characters can stand before {{token}}")
    check_mailboxes(**{option: f"{local}token{domain}"})
