"""What the doctor says of records, asked of a real name server on loopback."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from name_server import NameServer
from waiting import PATIENCE, wait_for

from publisher.app import load
from publisher.config import Settings
from publisher.dkim import Signer
from publisher.doctor import Diagnosis, Dns, Severity, _ways, dkim, dmarc, examine, mx, spf, tags
from publisher.doctor.remarks import Remark, shown
from publisher.errors import TooSlow, Unreachable

WELL, NOTE, WRONG, UNASKED = Severity.WELL, Severity.NOTE, Severity.WRONG, Severity.UNASKED


@pytest.fixture(scope="module")
def running() -> Iterator[NameServer]:
    one = NameServer()
    yield one
    one.close()


@pytest.fixture
def server(running: NameServer) -> NameServer:
    """As if it had just been started."""
    running.begin()
    return running


@cache
def pem(kind: str) -> str:
    bits = {"rsa": 2048, "weak": 1024, "other": 2048}
    made: Any = (
        ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, bits[kind])
    )
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def signer(kind: str = "rsa", selector: str = "s1") -> Signer:
    return Signer("example.org", selector, pem(kind))


GOOD = f"""
example.org MX 10 mail.example.org.
example.org TXT v=spf1 a:mail.example.org include:_spf.relay.example -all
example.org TXT something-verification=17
mail.example.org A 1.2.3.4
_spf.relay.example TXT v=spf1 ip4:5.6.0.0/16 ip6:2a00::/32 ~all
s1._domainkey.example.org TXT {signer().record}
e1._domainkey.example.org TXT {signer("ed25519", "e1").record}
_dmarc.example.org TXT v=DMARC1; p=reject; rua=mailto:dmarc@example.org
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house")


HOUSE = """version: 1
site: {{title: Harbour News, url: '{site}', postal_address: Harbour Street 1}}
publications:
  news: {{title: News, sources: [], deliver: [post]}}
channels:
  post:
    kind: smtp
    url: {url}
    from: {sender}
    {rest}
"""
KEYS = "dkim: [{}, {}]".format(
    "{domain: example.org, selector: s1, key: !file rsa}", "{domain: example.org, selector: e1, key: !file ed25519}"
)


def house(
    folder: Path,
    *,
    site: str = "https://news.example.org",
    url: str = "smtp+starttls://me:hunter2@mail.example.org",
    sender: str = "Harbour News <news@example.org>",
    rest: str = KEYS,
) -> Path:
    for kind in ("rsa", "ed25519", "weak"):
        (folder / kind).write_text(pem(kind))
    file = folder / "config.yaml"
    file.write_text(HOUSE.format(site=site, url=url, sender=sender, rest=rest))
    return file


def doctored(server: NameServer, file: Path, zone: str = GOOD, patience: float = PATIENCE) -> list[Diagnosis]:
    server.change(zone)
    return list(examine(loaded(file, file.read_text()), Dns(server.address, patience=timedelta(seconds=patience))))


@cache
def loaded(file: Path, text: str) -> Settings:
    """Most tests have the same configuration, and to read it takes longer than to look at it."""
    return load(file, {})


def told(found: list[Diagnosis], severity: Severity, about: str = "") -> list[Diagnosis]:
    return [one for one in found if one.severity is severity and about in one.about]


# --- the whole -------------------------------------------------------------------------------------------------------


def test_a_good_domain_is_well_in_every_point(server: NameServer, folder: Path) -> None:
    found = doctored(server, house(folder))
    assert [one.message for one in found if one.severity is not WELL] == []
    assert {one.about for one in found} == {"mail", "relay", "SPF", "DKIM", "DMARC", "MX"}
    assert [one.mend for one in found if one.mend] == []


NAME = "s1._domainkey.example.org"
P = signer().record.partition("p=")[2]
OTHER = Signer("example.org", "s1", pem("other")).record

FAULTS = [
    # what the zone says instead, what is found, and what to paste
    ("TXT v=spf1 a:m", "TXT a:m", WRONG, "SPF", "says nowhere", "v=spf1 a:mail.example.org ~all"),
    ("-all", "+all", WRONG, "SPF", "the whole world", "v=spf1 a:mail.example.org include:_spf.relay.example ~all"),
    ("ip4:5.6.0.0/16", "all", WRONG, "SPF", "the whole world", "Take out of the record"),
    ("-all", "?all", NOTE, "SPF", "says nothing of those", "include:_spf.relay.example ~all"),
    (" -all", "", NOTE, "SPF", "says nothing of those", "include:_spf.relay.example ~all"),
    ("a:mail.example.org ", "", NOTE, "SPF", "may not send", "value  v=spf1 a:mail.example.org include:_spf"),
    ("a:mail.example.org ", "exists:%{i}.example.org ", NOTE, "SPF", "depends on exists", ""),
    ("-all", "ip5:1.2.3.4 -all", WRONG, "SPF", '"ip5:1.2.3.4" is not a term', "Mend the record"),
    ("-all", "ip4:1.2.3 -all", WRONG, "SPF", "ip4:1.2.3 is not an address", ""),
    ("-all", "a/33 -all", WRONG, "SPF", "no prefix is that long", ""),
    ("-all", "redirect=a.example redirect=b.example", WRONG, "SPF", "redirect= is there twice", ""),
    ("-all", "include:nowhere.example -all", WRONG, "SPF", "nowhere.example has no SPF records", ""),
    ("-all", "include:example.org -all", WRONG, "SPF", "more than the 10 look-ups", "leave out"),
    ("-all", "a:x1.example a:x2.example a:x3.example -all", WRONG, "SPF", "no address", ""),
    ("v=DMARC1; p=reject; rua", "v=spf1; rua", WRONG, "DMARC", "does not begin with v=DMARC1", "p=none; rua=mailto:p"),
    ("p=reject; ", "", WRONG, "DMARC", "no policy", "value  v=DMARC1; p=none; rua=mailto:dmarc@example.org"),
    ("p=reject", "p=rejected", WRONG, "DMARC", "no policy", "value  v=DMARC1; p=none;"),
    ("p=reject", "p=none", NOTE, "DMARC", "only watches", "v=DMARC1; p=quarantine; rua=mailto:dmarc"),
    ("p=reject", "p=reject; pct=20", NOTE, "DMARC", 'pct="20"', ""),
    ("p=reject", "p=reject; t=y", NOTE, "DMARC", "t=y", ""),
    ("p=reject", "p=reject; adkim=x", NOTE, "DMARC", 'adkim="x"', ""),
    ("; rua=mailto:dmarc@example.org", "", NOTE, "DMARC", "nobody gets the reports", "rua=mailto:postmaster@example"),
    ("p=reject", "p=reject; p=none", WRONG, "DMARC", "p= is there twice", "p=none; rua=mailto:postmaster@example.org"),
    ("k=rsa", "k=ed25519", WRONG, "DKIM", 'of the kind "ed25519"', P),
    ("k=rsa", "k=rsa; h=sha1", WRONG, "DKIM", "SHA-256", P),
    ("k=rsa", "k=rsa; s=tlsrpt", WRONG, "DKIM", "not for mail", P),
    ("k=rsa", "k=rsa; t=y:s", NOTE, "DKIM", "is a test", P),
    ("k=rsa; p=", "k=rsa; n=", WRONG, "DKIM", "no key", P),
    (f"p={P}", "p=", WRONG, "DKIM", "revoked", P),
    (f"p={P}", "p=?", WRONG, "DKIM", "not that of the one", P),
    (signer().record, OTHER, WRONG, "DKIM", "not that of the one", P),
    ("v=DKIM1; k=rsa", "v=DKIM2; k=rsa", WRONG, "DKIM", "v=DKIM1", P),
    ("v=DKIM1; k=rsa;", "k=rsa; v=DKIM1;", WRONG, "DKIM", "v=DKIM1", P),
    ("k=rsa", "k", WRONG, "DKIM", '"k" is not of the form tag=value', P),
    (NAME, "else.example", WRONG, "DKIM", "is not there", f"name   {NAME}\nvalue  {signer().record}"),
    ("10 mail.example.org.", "0 .", WRONG, "MX", "takes no mail", "MX record of example.org"),
    ("10 mail.example.org.", "10 lost.example.org.", WRONG, "MX", "no mail server of example.org", "lost.example.org"),
    ("MX 10 mail.example.org.", "A 1.2.3.4", NOTE, "MX", "no MX", ""),
    ("MX 10 mail.example.org.", "TXT nothing", WRONG, "MX", "neither MX nor address", "MX record"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "severity", "about", "message", "mend"), FAULTS, ids=[f"{one[3]}: {one[4]}" for one in FAULTS]
)
def test_each_fault_is_told_by_name_with_what_to_paste(
    old: str, new: str, severity: Severity, about: str, message: str, mend: str, server: NameServer, folder: Path
) -> None:
    assert old in GOOD
    found = doctored(server, house(folder), GOOD.replace(old, new, 1))
    [one] = [one for one in told(found, severity, about) if message in one.message]
    assert mend in one.mend
    assert one.place.startswith("channels.post")
    assert told(found, WRONG) == ([one] if severity is WRONG else [])
    assert told(found, UNASKED) == []


TWICE = [
    ("SPF", "example.org TXT v=spf1 ip4:9.9.9.9 ~all", "mail.example.org include:_spf.relay.example ip4:9.9.9.9 ~all"),
    ("DKIM", f"{NAME} TXT v=DKIM1; p=", f"value  {signer().record}"),
    ("DMARC", "_dmarc.example.org TXT v=DMARC1; p=none", "value  v=DMARC1; p=reject; rua=mailto:dmarc@example.org"),
]  # fmt: skip


@pytest.mark.parametrize(("about", "line", "mend"), TWICE, ids=[one[0] for one in TWICE])
def test_a_record_that_is_there_twice_counts_for_none_and_one_is_given_to_keep(
    about: str, line: str, mend: str, server: NameServer, folder: Path
) -> None:
    [one] = told(doctored(server, house(folder), f"{GOOD}\n{line}"), WRONG)
    assert one.about == about
    assert "2 " in one.message
    assert one.mend.startswith("Remove all of them but one.")
    assert mend in one.mend


def mended(zone: str, found: list[Diagnosis]) -> str:
    """The zone after an operator has pasted what the faults say."""
    for one in told(found, WRONG):
        for name, value in re.findall(r"^name   (\S+)\nvalue  (.+)$", one.mend, re.MULTILINE):
            form = {"DKIM": "", "DMARC": "v=DMARC1", "SPF": "v=spf1"}[one.about]
            zone = re.sub(rf"(?m)^{re.escape(name)} TXT {form}.*$", "", zone) + f"\n{name} TXT {value}\n"
    return zone


BY_RECORD = [one for one in FAULTS if one[2] is WRONG and one[5] and one[3] != "MX" and "paste" not in one[5]]


@pytest.mark.parametrize(
    ("zone"),
    ["example.org MX 10 mail.example.org.\nmail.example.org A 1.2.3.4"]
    + [GOOD.replace(old, new, 1) for old, new, _, about, _, mend in BY_RECORD if "name" in mend or about != "SPF"]
    + [f"{GOOD}\n{line}" for _, line, _ in TWICE],
)
def test_whoever_pastes_what_is_said_has_no_fault_left(zone: str, server: NameServer, folder: Path) -> None:
    file = house(folder)
    found = doctored(server, file, zone)
    assert told(found, WRONG)
    assert told(doctored(server, file, mended(zone, found)), WRONG) == []


# --- the channel and the site ----------------------------------------------------------------------------------------


def found_with(server: NameServer, folder: Path, zone: str = GOOD, **changes: str) -> list[Diagnosis]:
    return doctored(server, house(folder, **changes), zone)


def test_a_site_without_https_or_postal_address_is_told(server: NameServer, folder: Path) -> None:
    file = house(folder, site="http://news.example.org")
    file.write_text(file.read_text().replace(", postal_address: Harbour Street 1", ""))
    found = doctored(server, file)
    assert [one.place for one in told(found, WRONG)] == ["site"]
    assert "RFC 8058" in told(found, WRONG)[0].message
    assert "postal address" in told(found, NOTE)[0].message


@pytest.mark.parametrize(
    ("url", "severity", "message"),
    [
        ("smtps://mail.example.org", WELL, "is encrypted"),
        ("smtp://mail.example.org", NOTE, "is not encrypted"),
        ("smtp://me:hunter2@mail.example.org", WRONG, "the password goes to mail.example.org without"),
        ("smtp://127.0.0.1:2525", WELL, "on this machine"),
    ],
)
def test_whether_the_way_to_the_relay_is_encrypted_is_told(
    url: str, severity: Severity, message: str, server: NameServer, folder: Path
) -> None:
    found = found_with(server, folder, url=url)
    [one] = [one for one in found if one.about == "relay"]
    assert (one.severity, message in one.message) == (severity, True)
    assert "hunter2" not in repr(found)


def test_a_relay_that_sends_itself_must_be_named_and_one_behind_which_others_may_stand_need_not(
    server: NameServer, folder: Path
) -> None:
    zone = GOOD.replace("a:mail.example.org ", "")
    [one] = told(found_with(server, folder, zone, url="smtp://mail.example.org"), WRONG, "SPF")
    assert "mail.example.org (1.2.3.4) may not send for example.org" in one.message
    assert "value  v=spf1 a:mail.example.org include:_spf.relay.example -all" in one.mend
    [one] = told(found_with(server, folder, zone, url="smtp://5.7.0.1"), WRONG, "SPF")
    assert "value  v=spf1 ip4:5.7.0.1 include" in one.mend
    found = found_with(server, folder, zone, url="smtps://mail.example.org")
    assert told(found, WRONG) == []
    assert "only its operator knows" in told(found, NOTE, "SPF")[0].message


def test_of_a_relay_on_this_machine_no_more_is_said_than_is_known(server: NameServer, folder: Path) -> None:
    found = found_with(server, folder, url="smtp://127.0.0.1:25")
    assert told(found, WRONG) == []
    assert "cannot be known here" in told(found, NOTE, "SPF")[0].message
    missing = GOOD.replace("TXT v=spf1 a", "TXT a")
    assert "value  v=spf1 mx ~all" in told(found_with(server, folder, missing, url="smtp://127.0.0.1"), WRONG)[0].mend


def test_without_a_key_nothing_is_claimed_of_signatures(server: NameServer, folder: Path) -> None:
    found = found_with(server, folder, rest="")
    assert told(found, WRONG) == []
    assert "cannot be seen from here" in told(found, NOTE, "DKIM")[0].message
    assert "does not survive forwarding" in told(found, NOTE, "DMARC")[0].message


def test_a_key_of_1024_bits_is_noted_with_how_to_make_a_better_one(server: NameServer, folder: Path) -> None:
    zone = GOOD.replace(signer().record, signer("weak").record)
    found = found_with(server, folder, zone, rest="dkim: {domain: example.org, selector: s1, key: !file weak}")
    [one] = told(found, NOTE)
    assert "1024 bits" in one.message
    assert "openssl genrsa -out secrets/dkim.pem 2048" in one.mend


def test_a_sender_who_is_not_of_the_internet_is_told(server: NameServer, folder: Path) -> None:
    for change in ({"sender": "root@localhost"}, {"site": "https://192.0.2.1", "sender": '""'}):
        [one] = told(found_with(server, folder, rest="", **change), WRONG)
        assert one.place == "channels.post.from"
        assert "from: Name <news@example.org>" in one.mend


def test_a_mail_store_is_reached_without_dns(server: NameServer, folder: Path) -> None:
    found = found_with(server, folder, url="lmtp://127.0.0.1", rest="")
    assert {one.about for one in found} == {"mail", "relay"}
    assert not server.asked


def test_a_house_that_sends_no_mail_needs_no_doctor(server: NameServer, folder: Path) -> None:
    file = folder / "config.yaml"
    file.write_text("version: 1\nsite: {title: News, url: 'https://news.example.org'}\n")
    [one] = doctored(server, file)
    assert (one.severity, one.message) == (NOTE, "no channel sends by SMTP, so there is nothing to look at")


def test_bounces_and_answers_that_go_elsewhere_are_looked_at_there(server: NameServer, folder: Path) -> None:
    settings = load(house(folder), {})
    options = settings.channels["post"].options
    away = {name: getattr(options, name) for name in ("relays", "sender", "dkim")}
    away |= {"bounces": "bounce+{token}@back.example.org", "reply_to": "Ed <ed@answers.example>"}
    [way] = _ways(SimpleNamespace(**away), settings)
    assert (way.domain, way.envelope, way.answers) == ("example.org", "back.example.org", "answers.example")
    found = found_with(server, folder, rest=f"reply_to: Ed <ed@answers.example>\n    {KEYS}")
    assert [one.message for one in told(found, WRONG, "MX")] == [
        "answers.example has neither MX nor address: answers are lost, and many receivers refuse its mail"
    ]


# --- when DNS is away ------------------------------------------------------------------------------------------------


def test_a_question_without_an_answer_is_a_diagnosis_and_the_rest_is_still_told(
    server: NameServer, folder: Path
) -> None:
    server.failing, server.silent = {"_spf.relay.example"}, {NAME}
    found = doctored(server, house(folder), patience=1)
    assert [(one.about, one.message[:20]) for one in told(found, UNASKED)] == [
        ("SPF", "could not be asked: "),
        ("DKIM", "could not be asked: "),
    ]
    assert "did not answer in 1 s for the TXT of s1._domainkey.example.org" in told(found, UNASKED, "DKIM")[0].message
    assert {one.about for one in told(found, WELL)} >= {"DKIM", "DMARC", "MX"}


def test_a_name_server_that_stays_silent_is_soon_left_alone(server: NameServer) -> None:
    server.silent = {f"n{number}.example" for number in range(30)}
    dns = Dns(server.address, patience=timedelta(seconds=0.05))
    for number in range(30):
        with pytest.raises(TooSlow, match="the name server 127"):
            dns.texts(f"n{number}.example")
    wait_for(lambda: len({name for name, _, _ in server.asked}) >= 4)
    assert len({name for name, _, _ in server.asked}) == 4


def test_a_name_is_asked_for_once_and_a_long_answer_comes_by_tcp(server: NameServer) -> None:
    server.change(f"long.example TXT {'x' * 3000}\n")
    dns = Dns(server.address)
    assert [dns.texts("long.example") for _ in range(3)] == [["x" * 3000]] * 3
    assert server.asked == {("long.example", "TXT", "udp"): 1, ("long.example", "TXT", "tcp"): 1}


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64 + ".example", "a." * 130, "a\\999.example", "ä.example", "\x80"])
def test_a_name_that_nobody_can_have_has_no_records(name: str, server: NameServer) -> None:
    dns = Dns(server.address)
    assert (dns.texts(name), dns.addresses(name), dns.exchanges(name)) == ([], [], [])


def test_a_refusal_is_no_empty_answer(server: NameServer) -> None:
    server.failing = {"example.org"}
    with pytest.raises(Unreachable, match=r"could not answer for the MX of example\.org"):
        Dns(server.address).exchanges("example.org")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("9.9.9.9", ("9.9.9.9", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]:5", ("::1", 5)),
    ],
)
def test_a_name_server_is_named_by_its_address(text: str, where: tuple[str, int]) -> None:
    assert Dns(text)._server == where


@pytest.mark.parametrize("text", ["ns.example.org", "1.2.3.4:x", "1.2.3.4:99999", ":53", "[::1", "1.2.3"])
def test_a_name_server_that_is_no_address_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 9\.9\.9\.9"):
        Dns(text)


# --- SPF -------------------------------------------------------------------------------------------------------------

ZONE = """
a.example A 1.1.1.1
a.example AAAA 2a00::1
mx.example MX 10 a.example.
inner.example TXT v=spf1 ip4:7.7.7.0/24 -all
macro.example TXT v=spf1 exists:%{i}.x.example -all
many.example MX 1 a.example.
""" + "".join(f"many.example MX {number} m{number}.example.\n" for number in range(2, 12))


def reading(record: str, server: NameServer) -> tuple[spf.Policy, int]:
    server.change(f"{ZONE}\nd.example TXT {record}\nd.example A 9.9.9.9")
    one = spf.Reading(Dns(server.address))
    return one.policy("d.example"), one.lookups


@pytest.mark.parametrize(
    ("record", "ip", "result", "lookups"),
    [
        ("v=spf1", "1.1.1.1", "?", 0),
        ("V=SPF1 IP4:1.1.1.1 -ALL", "1.1.1.1", "+", 0),
        ("v=spf1 a -all", "9.9.9.9", "+", 1),
        ("v=spf1 a:a.example -all", "2a00::1", "+", 1),
        ("v=spf1 a:a.example//64 -all", "2a00::ffff", "+", 1),
        ("v=spf1 a:a.example/24 -all", "1.1.1.77", "+", 1),
        ("v=spf1 a:a.example/24 -all", "1.1.2.1", "-", 1),
        ("v=spf1 ?mx:mx.example ~all", "1.1.1.1", "?", 1),
        ("v=spf1 include:inner.example ~all", "7.7.7.7", "+", 1),
        ("v=spf1 -include:inner.example +all", "7.7.7.7", "-", 1),
        ("v=spf1 include:inner.example ~all", "7.7.8.7", "~", 1),  # the inner -all is no verdict of the outer one
        ("v=spf1 redirect=inner.example", "7.7.8.7", "-", 1),
        ("v=spf1 ~all redirect=inner.example", "7.7.7.7", "~", 0),  # redirect is for records without all
        ("v=spf1 -all include:inner.example", "7.7.7.7", "-", 0),  # nothing follows all
        ("v=spf1 include:macro.example ip4:7.7.7.7 -all", "7.7.7.7", "+", 2),
        ("v=spf1 include:macro.example -all", "7.7.7.7", None, 2),
        ("v=spf1 ptr -all", "7.7.7.7", None, 1),
        ("v=spf1 include:%{d2}.example -all", "7.7.7.7", None, 1),
        ("v=spf1 moo=bar:/%{i} exp=why.example ip6:2a00::/16 -all", "2a00::9", "+", 0),
    ],
)
def test_what_a_record_says_of_an_address_and_what_it_costs(
    record: str, ip: str, result: str | None, lookups: int, server: NameServer
) -> None:
    policy, taken = reading(record, server)
    assert (policy.result(ip_address(ip)), taken) == (result, lookups)


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 all:x", "v=spf1 include", "v=spf1 include:", "v=spf1 a:", "v=spf1 ip4", "v=spf1 ip4:::1",
        "v=spf1 ip6:1.1.1.1", "v=spf1 ip4:1.1.1.1/33", "v=spf1 exists", "v=spf1 ++all", "v=spf1 redirect=",
        "v=spf1 a:%{z}.example", "v=spf1 a:%x", "v=spf1 \tall", "v=spf1 \xe4", "v=spf1 exp=a exp=b",
        "v=spf1 mx:many.example", "v=spf1 " + "a " * 11, "v=spf1 " + "x" * 5000,
    ],
)  # fmt: skip
def test_what_receivers_call_a_permanent_error_is_one(record: str, server: NameServer) -> None:
    with pytest.raises(spf.Broken):
        reading(record, server)


def test_ten_look_ups_are_granted_and_the_eleventh_is_not(server: NameServer) -> None:
    assert reading("v=spf1 " + "a:a.example " * 10 + "-all", server)[1] == 10
    with pytest.raises(spf.Broken, match="more than the 10 look-ups"):
        reading("v=spf1 " + "a:a.example " * 11 + "-all", server)


ADDRESSES = st.ip_addresses()
NETWORKS = st.builds(
    lambda ip, short: ip_network((ip, ip.max_prefixlen - short), strict=False), ADDRESSES, st.integers(0, 24)
)


@given(st.lists(st.tuples(st.sampled_from("+-~?"), NETWORKS), max_size=6), ADDRESSES, st.sampled_from("+-~?"))
def test_the_first_rule_that_an_address_falls_under_decides(rules: list[tuple[str, Any]], ip: Any, last: str) -> None:
    text = "v=spf1 " + " ".join(f"{sign}ip{network.version}:{network}" for sign, network in rules) + f" {last}all"
    found = tuple(spf.Rule(term.qualifier, term.networks) for term in spf.parse(text)[:-1])
    policy = spf.Policy((*found, spf.Rule(last, spf._EVERYTHING)))
    assert policy.result(ip) == next((sign for sign, network in rules if ip in network), last)
    for _, network in rules[:1]:
        assert policy.result(network[0]) == rules[0][0]


# --- DMARC -----------------------------------------------------------------------------------------------------------


def test_the_walk_up_the_tree_asks_for_eight_names_at_most() -> None:
    assert dmarc.above("a.mail.example.org") == ["a.mail.example.org", "mail.example.org", "example.org", "org"]
    long = "a.b.c.d.e.f.g.h.i.j.example.org"
    assert dmarc.above(long) == [long, *(long.split(".", n)[-1] for n in range(5, 12))]
    assert len(dmarc.above(long)) == 8


@pytest.mark.parametrize(
    ("zone", "home"),
    [
        ("", "a.b.example.org"),
        ("_dmarc.example.org TXT v=DMARC1; p=none", "example.org"),
        ("_dmarc.b.example.org TXT v=DMARC1; p=none\n_dmarc.example.org TXT v=DMARC1; p=none", "example.org"),
        ("_dmarc.b.example.org TXT v=DMARC1; p=none; psd=n\n_dmarc.example.org TXT v=DMARC1; p=none", "b.example.org"),
        ("_dmarc.example.org TXT v=DMARC1; p=none\n_dmarc.org TXT v=DMARC1; p=none; psd=y", "example.org"),
        ("_dmarc.example.org TXT v=DMARC1; p=none; psd=y", "b.example.org"),
        ("_dmarc.b.example.org TXT v=DMARC1; p=none\n_dmarc.example.org TXT junk", "b.example.org"),
    ],
)
def test_the_organisation_of_a_domain_is_found_by_its_records(zone: str, home: str, server: NameServer) -> None:
    server.change(zone)
    records = dmarc._walk("a.b.example.org", Dns(server.address))
    assert dmarc.organisation("a.b.example.org", records) == home


def remarks(server: NameServer, record: str, author: str, envelope: str, *signing: str) -> list[Remark]:
    server.change(f"_dmarc.example.org TXT v=DMARC1; rua=mailto:a@example.org; {record}")
    return list(dmarc.judge(author, envelope, signing, Dns(server.address)))


@pytest.mark.parametrize(
    ("record", "author", "envelope", "signing", "worst"),
    [
        ("p=reject", "example.org", "example.org", ["example.org"], WELL),
        ("p=reject", "news.example.org", "example.org", ["example.org"], WELL),
        ("p=reject", "example.org", "relay.example", ["news.example.org"], WELL),
        ("p=reject; adkim=s", "news.example.org", "relay.example", ["example.org"], WRONG),
        ("p=reject; adkim=s", "news.example.org", "example.org", ["example.org"], NOTE),
        ("p=reject; adkim=s; aspf=s", "news.example.org", "example.org", ["example.org"], WRONG),
        ("p=reject; aspf=s", "example.org", "bounce.example.org", ["example.org"], WELL),
        ("p=reject", "example.org", "relay.example", ["relay.example"], WRONG),
        ("p=reject", "example.org", "relay.example", [], WRONG),
        ("p=reject", "example.org", "example.org", [], NOTE),
        ("p=reject; sp=none", "news.example.org", "news.example.org", ["example.org"], NOTE),
    ],
)
def test_who_vouches_for_from_is_judged_by_the_modes_of_the_record(
    record: str, author: str, envelope: str, signing: list[str], worst: Severity, server: NameServer
) -> None:
    order = [WELL, NOTE, WRONG]
    said = remarks(server, record, author, envelope, *signing)
    assert max((one.severity for one in said), key=order.index) is worst, said
    assert all(one.mend for one in said if one.severity is WRONG)


def test_a_first_record_is_put_where_what_we_sign_as_counts_too(server: NameServer) -> None:
    [one] = dmarc.judge("news.example.org", "news.example.org", ["example.org", "relay.example"], Dns(server.address))
    assert "name   _dmarc.example.org\nvalue  v=DMARC1; p=none; rua=mailto:postmaster@example.org" in one.mend


# --- DKIM ------------------------------------------------------------------------------------------------------------


def test_a_key_in_the_bare_form_of_rsa_is_the_same_key() -> None:
    public = load_pem_private_key(pem("rsa").encode(), None).public_key()
    bare = base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.PKCS1)).decode()
    folded = " ".join(re.findall(".{1,60}", bare))
    assert [one.severity for one in dkim.examine(f"p={folded}", signer())] == [WELL]


# --- hostile records -------------------------------------------------------------------------------------------------

BYTES = st.binary(max_size=400).map(lambda raw: raw.decode("latin-1"))
PIECES = st.sampled_from(
    ["v=spf1", "v=DMARC1", "v=DKIM1", ";", " ", "=", ":", "/", "//", "%{", "}", "%{i}", "-all", "+all", "include:",
     "a", "mx:", "ip4:1.2.3.4", "ip6:::", "redirect=", "exp=", "p=", "p=none", "k=rsa", "h=", "s=*", "t=y", "pct=",
     "psd=y", "rua=mailto:", "\x00", "\xff", "\x1b[31m", "\r\n", "x.example", "d.example", "AAAA", "999"]
)  # fmt: skip
TEXTS = BYTES | st.lists(PIECES, max_size=14).map("".join) | st.lists(PIECES, max_size=14).map(" ".join)


@given(TEXTS)
@example("v=spf1 " + "a:" + "%{" * 2000)
@example("v=spf1 x=" + "a" * 4000 + "%")
@example("v=spf1 redirect=" + "a" * 4000 + "%")
@example("v=spf1 " + "a:" + "a.-" * 1300 + "/")
@settings(max_examples=300, deadline=2000)
def test_no_text_makes_a_parser_stumble(text: str) -> None:
    for parse, fault in ((tags.parse, ValueError), (spf.parse, spf.Broken)):
        with suppress(fault):
            parse(text)
    assert all(one.message.isprintable() for one in dkim.examine(text, signer()))


class Zone(Dns):
    """The name server that answers with the same texts whatever it is asked for."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__("127.0.0.1")
        self._texts = texts

    def texts(self, name: str) -> list[str]:
        return self._texts

    def addresses(self, name: str) -> list[Any]:
        return [ip_address("1.2.3.4")]

    def exchanges(self, name: str) -> list[str]:
        return ["mail.d.example"]


@given(st.lists(TEXTS | TEXTS.map("v=spf1 {}".format) | TEXTS.map("v=DMARC1; {}".format), max_size=3))
@settings(max_examples=300, deadline=2000)
def test_no_zone_makes_a_judge_stumble_and_what_is_said_can_be_shown(texts: list[str]) -> None:
    dns = Zone(texts)
    said = [
        *spf.judge("d.example", "relay.example", submission=False, dns=dns),
        *dkim.judge(signer(), dns),
        *dmarc.judge("d.example", "e.example", ["f.example"], dns),
        *mx.judge("d.example", "answers", dns),
    ]
    assert said
    for one in said:
        assert one.message.isprintable()
        assert all(line.isprintable() for line in one.mend.split("\n"))
        assert len(one.message) < 1000


@given(st.text(), st.integers(1, 200))
def test_what_is_shown_is_printable_and_short(text: str, most: int) -> None:
    assert shown(text, most).isprintable()
    assert len(shown(text, most)) <= most + 3


# --- the command -----------------------------------------------------------------------------------------------------


def publisher(*words: str | Path, code: int) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "publisher", *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def typed(server: NameServer, folder: Path) -> Callable[..., str]:
    def run(*words: str, zone: str = GOOD, code: int = 0, **changes: str) -> str:
        server.change(zone)
        return publisher("-c", house(folder, **changes), "doctor", "--dns", server.address, *words, code=code)

    return run


def test_the_command_ends_with_0_when_all_is_well_and_has_nothing_to_mend(typed: Callable[..., str]) -> None:
    said = typed()
    assert re.search(
        r"ok\s+channels.post\s+SPF\s+example.org has one record, for which receivers look up 2 of 10", said
    )
    assert "value" not in said
    assert "hunter2" not in said


def test_the_command_ends_with_1_and_prints_what_to_paste_in_one_line(typed: Callable[..., str]) -> None:
    said = typed(zone=GOOD.replace(NAME, "else.example"), code=1)
    assert re.search(r"!\s+channels.post.dkim\s+DKIM\s+s1._domainkey.example.org is not there", said)
    assert f"name   {NAME}\nvalue  {signer().record}\n" in said


def test_the_command_ends_with_3_when_the_name_server_is_away(server: NameServer, typed: Callable[..., str]) -> None:
    server.failing = {"example.org", "mail.example.org", NAME, "e1._domainkey.example.org", "_dmarc.example.org"}
    assert "could not be asked: the name server 127.0.0.1 could not answer" in typed(code=3)


def test_the_command_tells_machines_the_same(typed: Callable[..., str]) -> None:
    found = json.loads(typed("--json", zone=GOOD.replace("p=reject", "p=none")))
    assert {tuple(one) for one in found} == {("place", "about", "severity", "message", "mend")}
    assert [one["mend"].splitlines()[-1] for one in found if one["severity"] == "note"] == [
        "value  v=DMARC1; p=quarantine; rua=mailto:dmarc@example.org"
    ]


def test_the_command_refuses_a_name_server_that_is_none(folder: Path) -> None:
    assert "--dns: 'ns.example.org' is not an address" in publisher(
        "-c", house(folder), "doctor", "--dns", "ns.example.org", code=2
    )
