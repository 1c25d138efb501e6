"""What receivers shall do with mail that neither SPF nor DKIM vouches for (DMARC, RFC 9989; before it RFC 7489)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from publisher.doctor import tags
from publisher.doctor.dns import Dns
from publisher.doctor.remarks import Remark, Remarks, instead, note, publish, shown, well, wrong

_POLICIES = ("none", "quarantine", "reject")
_RECORD = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)", re.ASCII)
_DEEPEST = 8
"""How many names a walk up the tree asks for (RFC 9989 section 4.10)."""


# --- the record, pure ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Record:
    """A record, and whose it is."""

    domain: str
    text: str
    tags: Mapping[str, str]

    @property
    def name(self) -> str:
        """Where DNS has it."""
        return f"_dmarc.{self.domain}"


def is_record(text: str) -> bool:
    """Whether a TXT record is one of DMARC (RFC 9989 section 4.7)."""
    return bool(_RECORD.match(text))


def above(domain: str) -> list[str]:
    """The domains whose records are looked at, from a domain upwards (RFC 9989 section 4.10)."""
    labels = domain.split(".")
    start = max(1, len(labels) - _DEEPEST + 1)
    return [domain, *(".".join(labels[first:]) for first in range(start, len(labels)))]


def organisation(domain: str, records: Iterable[Record]) -> str:
    """The organisational domain, by the records found at and above a domain (RFC 9989 section 4.10.2).

    Args:
        records: from the domain upwards.
    """
    found = list(records)
    for record in found:
        if record.tags.get("psd") == "n":
            return record.domain
        if record.tags.get("psd") == "y":  # a public suffix: what lies directly below it
            return ".".join(domain.split(".")[-len(record.domain.split(".")) - 1 :])
    return found[-1].domain if found else domain


# --- looking up ------------------------------------------------------------------------------------------------------


def _walk(domain: str, dns: Dns) -> Iterator[Record]:
    """The records at and above a domain; where there are several or none that can be read, there is none."""
    for owner in above(domain):
        found = [text for text in dns.texts(f"_dmarc.{owner}") if is_record(text)]
        if len(found) == 1 and (record := _read(owner, found[0])):
            yield record
            if record.tags.get("psd") in ("y", "n"):
                return


def _read(owner: str, text: str) -> Record | None:
    try:
        return Record(owner, text, tags.parse(text))
    except ValueError:
        return None


def _aligned(author: str, other: str, mode: str, dns: Dns) -> bool:
    """Whether a domain that was proved counts for that of ``From`` (RFC 9989 section 4.4); ``s`` is strict."""
    if author == other or mode == "s":
        return author == other
    return organisation(author, _walk(author, dns)) == organisation(other, _walk(other, dns))


# --- the judgement ---------------------------------------------------------------------------------------------------


def judge(author: str, envelope: str, signing: Sequence[str], dns: Dns) -> Remarks:
    """What there is to say of the policy over ``From``, and of what vouches for it.

    Args:
        author: the domain of ``From``.
        envelope: the domain of the envelope's sender, which SPF proves.
        signing: the domains that sign (``d=``).

    Raises:
        NetError: DNS did not answer.
    """
    texts = dns.texts(f"_dmarc.{author}")
    if fault := _fault(author, texts):
        yield fault
        return
    records = list(_walk(author, dns))
    owner = organisation(author, records)
    record = next((one for one in records if one.domain in (author, owner)), None)
    if record is None:
        yield _missing(author, texts, signing)
        return
    yield from examine(record, author)
    yield from _alignment(record, author, envelope, signing, dns)


def _fault(author: str, texts: Sequence[str]) -> Remark | None:
    """Why receivers take the author's own record for none, where there is one."""
    name, found = f"_dmarc.{author}", [text for text in texts if is_record(text)]
    if len(found) > 1:
        mend = f"Remove all of them but one.\n{instead(name, max(found, key=len))}"
        return wrong(f"{name} has {len(found)} records; receivers then take none", mend)
    try:
        _ = [tags.parse(text) for text in found]
    except ValueError as error:
        return wrong(f"{name} cannot be read: {error}", instead(name, _beginning(author)))
    return None


def _missing(author: str, texts: Sequence[str], signing: Sequence[str]) -> Remark:
    home = _home(author, signing)
    told = f"neither {author} nor a domain above it has a record; large mail services want one of who sends much"
    if texts:
        told += f" (what is there does not begin with v=DMARC1: {shown(texts[0])})"
    return wrong(told, publish(f"_dmarc.{home}", _beginning(home)))


def _home(author: str, signing: Sequence[str]) -> str:
    """Where a first record does most: at the highest domain of ours that ``From`` lies in."""
    return min((domain for domain in signing if author.endswith(f".{domain}")), key=len, default=author)


def _beginning(domain: str) -> str:
    return f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"


def examine(record: Record, author: str) -> Remarks:
    """What there is to say of a record (RFC 9989 section 4.7; ``pct`` from RFC 7489 section 6.3)."""
    said = record.tags
    policy = said.get("p", "").lower()
    policy = said.get("sp", policy).lower() if record.domain != author else policy
    if policy not in _POLICIES:
        told = f"{record.name} has no policy that is known (p=none, quarantine or reject): {shown(record.text)}"
        yield wrong(told, instead(record.name, _with(record, p="none")))
        return
    yield well(f"{record.name} has one record, with the policy {policy} for {author}")
    if policy == "none":
        kinder = instead(record.name, _with(record, p="quarantine"))
        yield note(
            "p=none only watches: mail arrives, and others can still write in your name",
            f"When the reports show that all of your own mail passes:\n{kinder}",
        )
    yield from _details(record)


def _details(record: Record) -> Remarks:
    said = record.tags
    if said.get("pct", "100") != "100":
        yield note(f"pct={shown(said['pct'], 20)} is of the past: some receivers use the policy for a part of the mail")
    if said.get("t") == "y":
        yield note("t=y says that the policy is being tried out, and is not to be followed yet")
    for mode in ("adkim", "aspf"):
        if said.get(mode, "r") not in ("r", "s"):
            yield note(f"{mode}={shown(said[mode], 20)} is neither r nor s, and is taken for r")
    if not re.match(r"[a-z]+:", said.get("rua", ""), re.IGNORECASE):
        mend = instead(record.name, _with(record, rua=f"mailto:postmaster@{record.domain}"))
        yield note("nobody gets the reports on what passes and what does not (rua)", mend)


def _with(record: Record, **changes: str) -> str:
    ordered = {"v": "DMARC1", "p": "none", **record.tags, **changes}
    return "; ".join(f"{name}={value}" for name, value in ordered.items())


def _alignment(record: Record, author: str, envelope: str, signing: Sequence[str], dns: Dns) -> Remarks:
    adkim, aspf = record.tags.get("adkim", "r"), record.tags.get("aspf", "r")
    signed = [domain for domain in signing if _aligned(author, domain, adkim, dns)]
    by_envelope = _aligned(author, envelope, aspf, dns)
    if signed:
        yield well(f"the signature of {signed[0]} counts for From ({author})")
    if by_envelope:
        yield well(f"SPF of {envelope} counts for From ({author}), where the relay keeps the envelope's sender")
    if not signed and by_envelope:
        yield note(
            f"no signature of ours counts for From ({author}), and SPF alone does not survive forwarding",
            f"Sign as {author} (dkim: in the channel), unless the relay does.",
        )
    if not signed and not by_envelope:
        told = ", ".join([*signing, envelope])
        yield wrong(
            f"nothing that we send counts for From ({author}): SPF and DKIM prove {told}",
            f"Sign as {author}: dkim: {{domain: {author}, selector: …, key: …}} in the channel, or change `from`.",
        )
