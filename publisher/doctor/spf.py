"""Which machines may send for a domain (SPF, RFC 7208)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import takewhile

from publisher.doctor.dns import Address, Dns
from publisher.doctor.remarks import Remark, Remarks, instead, note, publish, shown, well, wrong

Network = IPv4Network | IPv6Network

MOST_LOOKUPS = 10  # section 4.6.4
_MOST_VOID = 2  # section 4.6.4
_MOST_EXCHANGES = 10  # section 4.6.4
_LONGEST = 4096  # characters: eight times what section 3.4 advises
_EVERYTHING: tuple[Network, ...] = (IPv4Network((0, 0)), IPv6Network((0, 0)))
_NOBODY = ip_address("255.255.255.255")
"""No machine has it: whoever lets it send lets everybody send."""

_ALL = re.compile(r"[-+?~]?all", re.IGNORECASE | re.ASCII)
_RECORD = re.compile(r"v=spf1(?: |\Z)", re.IGNORECASE | re.ASCII)
# Section 7.1.  A slash outside of macros begins a prefix length here, although it could belong to a name.  Possessive:
# what is matched is never given back, so that no hostile text makes a search run away.
_PIECE = r"%\{[slodiphcrtv]\d*r?[.+,/_=-]*\}|%[%_-]|[!-$&-.0-~]"
_SPEC = rf"(?:{_PIECE})++"
_NAME = rf"(?::(?P<domain>{_SPEC}))"
_LENGTHS = r"(?:/(?P<v4>\d{1,2}))?(?://(?P<v6>\d{1,3}))?"
_FORMS = {  # section 5
    "all": "",
    "include": _NAME,
    "a": f"{_NAME}?{_LENGTHS}",
    "mx": f"{_NAME}?{_LENGTHS}",
    "ptr": f"{_NAME}?",
    "ip4": r":(?P<network>[\d.]+(?:/\d{1,2})?)",
    "ip6": r":(?P<network>[\da-f:.]+(?:/\d{1,3})?)",
    "exists": _NAME,
}
_DIRECTIVE = {
    name: re.compile(rf"(?P<qualifier>[-+?~]?){name}{form}", re.IGNORECASE | re.ASCII) for name, form in _FORMS.items()
}
_MODIFIER = re.compile(rf"(?P<name>[a-z][a-z0-9_.-]*)=(?P<value>(?:{_PIECE}|/)*+)", re.IGNORECASE | re.ASCII)


class Broken(ValueError):
    """Receivers call the record a permanent error (section 2.6.7), and take it for none."""


# --- the record, pure ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """A directive or a modifier (section 4.6.1)."""

    name: str
    """In lower case."""
    qualifier: str = ""
    """``+``, ``-``, ``~`` or ``?``; empty for a modifier."""
    domain: str = ""
    """May hold macros; empty: that of the record."""
    networks: tuple[Network, ...] = ()
    """Of ``ip4`` and ``ip6``."""
    lengths: tuple[int, int] = (32, 128)
    """Of the prefixes of IPv4 and IPv6, for ``a`` and ``mx``."""


def is_record(text: str) -> bool:
    """Whether a TXT record is one of SPF (section 4.5)."""
    return bool(_RECORD.match(text))


def parse(text: str) -> tuple[Term, ...]:
    """The terms of a record.

    Raises:
        Broken: a term is not of the grammar of section 12.
    """
    if len(text) > _LONGEST:
        raise Broken(f"{len(text):,} characters are too many")
    terms = tuple(_term(piece) for piece in text.split(" ")[1:] if piece)
    for name in ("redirect", "exp"):
        if sum(term.name == name for term in terms) > 1:
            raise Broken(f"{name}= is there twice")
    return terms


def _term(text: str) -> Term:
    if found := _MODIFIER.fullmatch(text):
        name = found["name"].lower()
        if name in ("redirect", "exp") and not re.fullmatch(_SPEC, found["value"]):
            raise Broken(f"{shown(text, 60)} names no domain")
        return Term(name, domain=found["value"])
    for name, form in _DIRECTIVE.items():
        if term := _directive(name, form, text):
            return term
    raise Broken(f"{shown(text, 60)} is not a term of SPF")


def _directive(name: str, form: re.Pattern[str], text: str) -> Term | None:
    found = form.fullmatch(text)
    if not found:
        return None
    parts, qualifier = found.groupdict(), found["qualifier"] or "+"
    lengths = int(parts.get("v4") or 32), int(parts.get("v6") or 128)
    if lengths[0] > 32 or lengths[1] > 128:
        raise Broken(f"{shown(text, 60)}: no prefix is that long")
    networks = (_network(name, parts["network"]),) if "network" in parts else ()
    return Term(name, qualifier, parts.get("domain") or "", networks, lengths)


def _network(name: str, text: str) -> Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise Broken(f"{name}:{text[:60]} is not an address") from None
    if name != f"ip{network.version}":
        raise Broken(f"{name}:{text[:60]} is an address of IPv{network.version}")
    return network


# --- what it means, pure ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """A directive, with what it asks DNS for looked up."""

    qualifier: str
    covers: tuple[Network, ...] | Policy | None
    """None: it depends on more than the sender's address (``exists``, ``ptr``, macros)."""

    def matches(self, ip: Address) -> bool | None:
        """None: it cannot be told."""
        if isinstance(self.covers, Policy):  # section 5.2
            result = self.covers.result(ip)
            return None if result is None else result == "+"
        return None if self.covers is None else any(ip in network for network in self.covers)


@dataclass(frozen=True, slots=True)
class Policy:
    """A record, with those that it takes in."""

    rules: tuple[Rule, ...]
    redirect: Policy | None = None

    def result(self, ip: Address) -> str | None:
        """The qualifier of the rule that an address falls under (sections 4.6.2 and 4.7); None: it cannot be told."""
        unsure: set[str] = set()
        for rule in self.rules:
            matches = rule.matches(ip)
            if matches:
                return rule.qualifier if unsure <= {rule.qualifier} else None
            if matches is None:
                unsure.add(rule.qualifier)
        last = self.redirect.result(ip) if self.redirect else "?"
        return last if unsure <= {last} else None

    @property
    def ending(self) -> str:
        """The qualifier of ``all``; empty when there is none."""
        qualifiers = [rule.qualifier for rule in self.rules if rule.covers is _EVERYTHING]
        return qualifiers[0] if qualifiers else self.redirect.ending if self.redirect else ""


# --- looking up ------------------------------------------------------------------------------------------------------


class Reading:
    """Reads a record with those that it takes in, and counts as receivers do, to whom no rule before the last applies.

    Attributes:
        lookups: how many questions to DNS it took, of the ten that section 4.6.4 grants.
    """

    def __init__(self, dns: Dns) -> None:
        self._dns = dns
        self.lookups = 0
        self._void = 0

    def policy(self, domain: str) -> Policy:
        """What is allowed to whom.

        Raises:
            Broken: receivers cannot read it, or give up over it.
            NetError: DNS did not answer.
        """
        records = [text for text in self._dns.texts(domain) if is_record(text)]
        if len(records) != 1:
            raise Broken(f"{domain} has {len(records) or 'no'} SPF records, where there must be one")
        try:
            terms = parse(records[0])
        except Broken as error:
            raise Broken(f"in the record of {domain}: {error}") from None
        rules = tuple(self._rules(terms, domain))
        final = any(rule.covers is _EVERYTHING for rule in rules)  # section 6.1: redirect comes after all, or never
        following = [] if final else [term.domain for term in terms if term.name == "redirect"]
        return Policy(rules, self._taken_in(following[0]) if following else None)

    def _rules(self, terms: tuple[Term, ...], domain: str) -> Iterator[Rule]:
        for term in terms:
            if term.name == "all":
                yield Rule(term.qualifier, _EVERYTHING)
                return  # section 5.1: what follows is never looked at
            if term.qualifier:
                yield Rule(term.qualifier, term.networks or self._covered(term, term.domain or domain))

    def _covered(self, term: Term, domain: str) -> tuple[Network, ...] | Policy | None:
        if term.name == "include":
            return self._taken_in(domain)
        self._count()
        if "%" in domain or term.name in ("exists", "ptr"):
            return None
        hosts = self._exchanges(domain) if term.name == "mx" else [domain]
        found = [ip for host in hosts for ip in self._dns.addresses(host)]
        self._note_void(found)
        return tuple(ip_network((ip, term.lengths[ip.version == 6]), strict=False) for ip in found)

    def _taken_in(self, domain: str) -> Policy | None:
        self._count()
        return None if "%" in domain else self.policy(domain)

    def _exchanges(self, domain: str) -> list[str]:
        hosts = self._dns.exchanges(domain)
        if len(hosts) > _MOST_EXCHANGES:
            raise Broken(f"mx asks for the {len(hosts)} mail servers of {domain}; receivers ask for {_MOST_EXCHANGES}")
        return [host for host in hosts if host]

    def _count(self) -> None:
        self.lookups += 1
        if self.lookups > MOST_LOOKUPS:
            raise Broken(f"it takes more than the {MOST_LOOKUPS} look-ups that receivers do")

    def _note_void(self, found: list[Address]) -> None:
        self._void += not found
        if self._void > _MOST_VOID:
            raise Broken(f"more than {_MOST_VOID} of its names have no address; receivers give up over that")


# --- the judgement ---------------------------------------------------------------------------------------------------


def judge(domain: str, host: str, *, submission: bool, dns: Dns) -> Remarks:
    """What there is to say of the record of an envelope sender's domain.

    Args:
        host: the relay.
        submission: it takes mail from users, so that others may send it on (RFC 6409).

    Raises:
        NetError: DNS did not answer.
    """
    records = [text for text in dns.texts(domain) if is_record(text)]
    if not records:
        term = _term_for(host, dns)
        mend = publish(domain, f"v=spf1 {term} ~all")
        hint = f"If your mail provider names an include: for SPF, write that instead of {term}."
        yield wrong(f"{domain} says nowhere which machines may send for it", f"{mend}\n{hint}")
    elif len(records) > 1:
        yield wrong(f"{domain} has {len(records)} SPF records; receivers then take none", _joined(domain, records))
    else:
        yield from _judge(domain, records[0], host, submission=submission, dns=dns)


def _joined(domain: str, records: list[str]) -> str:
    terms = list(dict.fromkeys(term for text in records for term in text.split(" ")[1:] if term))
    ends = [term for term in terms if _ALL.fullmatch(term)]
    rest = [term for term in terms if term not in ends]
    joined = " ".join(["v=spf1", *rest, "-all" if ends == ["-all"] else "~all"])
    return "Remove all of them but one.\n" + instead(domain, joined)


def _judge(domain: str, record: str, host: str, *, submission: bool, dns: Dns) -> Remarks:
    reading = Reading(dns)
    try:
        policy = reading.policy(domain)
    except Broken as error:
        yield wrong(f"{domain}: {error}; its record is {shown(record)}", _ADVICE)
        return
    yield well(f"{domain} has one record, for which receivers look up {reading.lookups} of {MOST_LOOKUPS} names")
    yield _on_others(domain, record, policy)
    yield _on_relay(domain, record, policy, host, submission=submission, dns=dns)


_ADVICE = (
    "Mend the record. Only include, a, mx, ptr, exists and redirect take look-ups: leave out what no longer sends for "
    "you, and name machines with a fixed address by ip4: and ip6:"
)


def _on_others(domain: str, record: str, policy: Policy) -> Remark:
    close = instead(domain, _closed(record))
    if policy.result(_NOBODY) == "+":
        told = f"the whole world may send for {domain}: {shown(record)}"
        return wrong(told, close if policy.ending == "+" and not policy.redirect else _TOO_WIDE)
    if policy.ending in ("-", "~"):
        return well(f"{policy.ending}all: others may not send for {domain}")
    told = f"the record says nothing of those it does not name: {shown(record)}"
    return note(told, "Mend the record that redirect= names." if policy.redirect else close)


_TOO_WIDE = (
    "Take out of the record what lets everybody in: a very wide ip4: or ip6:, or an include: or redirect= that does"
)


def _closed(record: str) -> str:
    """The record up to its ``all``, which becomes ``~all``: a start that loses nothing."""
    return " ".join([*takewhile(lambda term: not _ALL.fullmatch(term), record.split(" ")), "~all"])


def _on_relay(domain: str, record: str, policy: Policy, host: str, *, submission: bool, dns: Dns) -> Remark:
    found = _addresses(host, dns)
    results = {ip: policy.result(ip) for ip in found if ip.is_global}
    told = ", ".join(map(str, list(results)[:6]))
    if not results:
        return note(f"{host} is not seen from outside, so which address mail leaves from cannot be known here")
    if all(result == "+" for result in results.values()):
        return well(f"{host} ({told}) may send for {domain}{_LIMIT if submission else ''}")
    if None in results.values():
        return note(f"whether {host} ({told}) may send for {domain} depends on exists, ptr or macros: not known here")
    mended = instead(domain, f"v=spf1 {_term_for(host, dns)} {record[6:].strip()}".rstrip())
    if submission:
        return note(f"{host} ({told}) may not send for {domain} itself{_LIMIT}", f"If it sends itself:\n{mended}")
    return wrong(f"{host} ({told}) may not send for {domain}", mended)


_LIMIT = "; whether other machines send what it takes, only its operator knows"


def _addresses(host: str, dns: Dns) -> list[Address]:
    try:
        return [ip_address(host)]
    except ValueError:
        return dns.addresses(host)


def _term_for(host: str, dns: Dns) -> str:
    """What lets the relay send; where it is not seen from outside, the machines that take the domain's mail."""
    seen = [ip for ip in _addresses(host, dns) if ip.is_global]
    if not seen:
        return "mx"
    return f"ip{seen[0].version}:{host}" if host == str(seen[0]) else f"a:{host}"
