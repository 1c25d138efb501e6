from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote

import css_inline
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from publisher.collect import tidy
from publisher.errors import RenderError
from publisher.mime import (
    ANYBODY,
    Letter,
    Letters,
    address_key,
    bare_address,
    check_address,
    default_sender,
    filled,
    message_id,
    needs_utf8,
    slot,
)
from publisher.model import Author, Document, Enclosure, Issue, Item, Parcel, Publication, Site, Subscriber
from publisher.templating import Templates

SHARED = [
    "From",
    "Subject",
    "Date",
    "List-Id",
    "List-Archive",
    "List-Help",
    "Feedback-ID",
    "Auto-Submitted",
    "Precedence",
    "Content-Language",
    "MIME-Version",
    "Content-Type",
]
HEADERS = ["To", "Message-ID", *SHARED]
ENCODED = "=?utf-8?q?=0D=0ABcc=3A_victim=40example=2Eorg?="
HOSTILE = [
    "a\r\nBcc: victim@example.org",
    "a\nBcc: victim@example.org",
    "a\rBcc: victim@example.org",
    "a\r\n\r\n<html>",
    "a\x00b",
    "a\x0b\x0cb",
    "a\x1bb",
    "a\x85Bcc: x",
    "a\u2028Bcc: x",
    "\ud800",
    ENCODED,
    f"{ENCODED} {ENCODED}",
    "=?utf-8?b?DQpCY2M6IHZpY3RpbUBleGFtcGxlLm9yZw==?=",
    "=?utf-7?q?+AA0ACg-Bcc?=",
    "=?",
    "?=",
    "a =?utf-8?q?b?=c",
    '" <victim@example.org>, "',
    "victim@example.org, ",
    "\\",
    '\\"',
    '"',
    "a (comment) b",
    "group: victim@example.org;",
    "<victim@example.org>",
    "x" * 2000,
    "x y " * 800,
    "ü" * 900,
    "📰" * 300,
    "e\u0301" * 100,
    "\u202eevil\u202c",
    "  spaces  within   and around  ",
    "\u00a0",
    "Wöchentlich, \"Hafen\" & <Neues>: 'jetzt'",
]
texts = (
    st.sampled_from(HOSTILE) | st.text(max_size=120) | st.text(alphabet='"\\<>@,;:()[]=?_ .\r\n\tu8qbäé', max_size=60)
)
thorough = settings(max_examples=300, deadline=None)


def make_issue(
    *,
    subject: str = "The Weekly, 12",
    title: str = "Harbour News",
    url: str = "https://news.example.org",
    name: str = "weekly",
    language: str = "en",
    text: bytes = b"Hello\n",
    html: bytes = b"<p>Hello</p>\n",
    created: datetime = datetime(2026, 11, 3, 8, 0, tzinfo=UTC),
) -> Issue:
    publication = Publication(name=name, title=title, site=Site(title=title, url=url), language=language)
    parts = {"subject.txt": subject.encode("utf-8", "surrogatepass"), "mail.html": html, "mail.txt": text}
    documents = tuple(Document(name=name, media_type="text/plain", body=body) for name, body in parts.items())
    return Issue(number=12, publication=publication, created=created, entries=(), documents=documents)


def parcel(issue: Issue, to: str = "ann@example.org", *, token: str = "", **subscriber: str) -> Parcel:
    who = Subscriber(**subscriber)
    return Parcel(delivery=1, recipient=to, message_id="id@news.example.org", issue=issue, token=token, subscriber=who)


def written(issue: Issue, *, sender: str = "", reply_to: str = "", to: str = "ann@example.org") -> bytes:
    return Letter(issue, sender=sender, reply_to=reply_to).to(parcel(issue, to))


def parsed(message: bytes) -> EmailMessage:
    return message_from_bytes(message, policy=policy.default)


def mailbox(message: bytes, header: str) -> tuple[str, str]:
    """The name and the address.  EmailMessage would keep the space between two encoded words (RFC 2047 section 6.2)."""
    assert len(parsed(message)[header].addresses) == 1
    return name_and_address(str(message_from_bytes(message)[header]))


def name_and_address(text: str) -> tuple[str, str]:
    name, address = parseaddr("".join(text.splitlines()))
    return str(make_header(decode_header(name))) if "=?" in name else name, address


def well_formed(message: bytes) -> bool:
    lines = message.split(b"\r\n")
    dots = [line for line in lines if line.startswith(b".")]  # the wire would take one for the end, or swallow it
    return not re.search(rb"\r(?!\n)|(?<!\r)\n|\x00", message) and max(map(len, lines)) <= 998 and not dots


# --- the letter ------------------------------------------------------------------------------------------------------


def test_a_letter_has_these_headers_and_both_bodies() -> None:
    message = parsed(
        written(make_issue(text="Grüße\n".encode(), html="<p>Grüße</p>".encode()), to="Ann <ann@example.org>")
    )
    assert message.keys() == HEADERS
    assert dict(message.items()) | {"Content-Type": ""} == {
        "To": "Ann <ann@example.org>",
        "Message-ID": "<id@news.example.org>",
        "From": "Harbour News <news@news.example.org>",
        "Subject": "The Weekly, 12",
        "Date": "Tue, 03 Nov 2026 08:00:00 +0000",
        "List-Id": "<weekly.news.example.org>",
        "List-Archive": "<https://news.example.org/weekly/>",
        "List-Help": "<https://news.example.org/weekly/>",
        "Feedback-ID": "weekly-12:weekly:3256d6fb65",
        "Auto-Submitted": "auto-generated",
        "Precedence": "bulk",
        "Content-Language": "en",
        "MIME-Version": "1.0",
        "Content-Type": "",
    }
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content() for part in message.iter_parts()] == ["Grüße\r\n", "<p>Grüße</p>"]
    assert message.defects == []


def test_answers_go_where_they_should() -> None:
    message = parsed(written(make_issue(), sender="a@example.org", reply_to="Éditeur <b@example.org>"))
    assert message["From"] == "a@example.org"
    assert message["Reply-To"].addresses[0].display_name == "Éditeur"
    assert message["Reply-To"].addresses[0].addr_spec == "b@example.org"


def test_the_same_issue_gives_the_same_bytes_and_another_text_another_boundary() -> None:
    assert written(make_issue()) == written(make_issue())
    boundaries = {parsed(written(make_issue(text=text))).get_boundary() for text in (b"a", b"b")}
    assert len(boundaries) == 2
    assert all(boundary.startswith("=_") for boundary in boundaries)  # which quoted-printable cannot hold


def test_the_date_is_the_moment_of_the_issue_wherever_it_was_told() -> None:
    created = datetime(2026, 11, 3, 9, 0, tzinfo=timezone(timedelta(hours=1)))
    assert parsed(written(make_issue(created=created)))["Date"] == "Tue, 03 Nov 2026 08:00:00 +0000"


def test_a_missing_document_is_named() -> None:
    issue = Issue(number=12, publication=make_issue().publication, created=datetime.now(UTC), entries=())
    with pytest.raises(RenderError, match=r"weekly, issue 12 has no document 'subject\.txt'"):
        Letter(issue, sender="")


def test_the_recipients_of_an_issue_share_one_letter() -> None:
    letters, issue = Letters(sender=""), make_issue()
    assert letters.of(issue) is letters.of(make_issue())
    assert letters.of(issue) is not letters.of(make_issue(subject="Another"))


@thorough
@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode()), st.sampled_from(["text", "html"])
)
@example(b"From here\n.\n..\n \n\t\n=\n" + b"x" * 500 + b"\r\r\n\n ", "text")
@example(b"--=_" + b"0" * 32, "html")
@example(b".\n..\n.x\n" + b"." * 200 + b"x" * 75 + b".", "html")
def test_any_body_is_read_back_with_its_line_ends_made_canonical(body: bytes, which: str) -> None:
    message = written(make_issue(**{which: body}))
    assert well_formed(message)
    content = message.split(b"\r\n\r\n", 1)[1]
    assert max(map(len, content.split(b"\r\n"))) <= 76
    part = parsed(message).get_payload(0 if which == "text" else 1)
    lines = re.split(rb"\r\n|\r|\n", body)
    assert part.get_payload(decode=True) == b"\r\n".join(lines)


# --- the way off the list --------------------------------------------------------------------------------------------


def leaving(url: str, *, token: str = "", mail: str = "") -> list[tuple[str, str]]:
    issue = make_issue()
    message = Letter(issue, sender="", unsubscribe_mail=mail).to(parcel(issue, token=token, unsubscribe=url))
    assert well_formed(message)
    return [(name, value) for name, value in parsed(message).items() if name.startswith("List-Unsubscribe")]


def test_a_reader_leaves_with_one_click_or_with_a_mail() -> None:
    url, pattern = "https://news.example.org/unsubscribe/abc", "unsubscribe+{token}@Example.org"
    one_click = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
    assert leaving(url) == leaving(url, mail=pattern) == [("List-Unsubscribe", f"<{url}>"), one_click]
    both = f"<{url}>, <mailto:unsubscribe+abc@example.org>"
    assert leaving(url, mail=pattern, token="abc") == [("List-Unsubscribe", both), one_click]
    assert leaving("", mail=pattern, token="abc") == []


def test_one_click_is_offered_where_it_is_encrypted_only() -> None:
    assert leaving("http://localhost:8080/u/abc") == [("List-Unsubscribe", "<http://localhost:8080/u/abc>")]


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://a.example/=?utf-8?q?x?=", "https://a.example/=%3Futf-8?q?x?="),
        ("https://a.example/ü?a=1&b=%20#c", "https://a.example/%C3%BC?a=1&b=%20#c"),
        ("https://a.example/>, <mailto:x", "https://a.example/%3E,%20%3Cmailto:x"),
        ("https://a.example/" + "x" * 900, "https://a.example/" + "x" * 900),
    ],
)
def test_the_address_to_leave_at_stands_on_one_line_in_ascii(url: str, written: str) -> None:
    assert leaving(url)[0] == ("List-Unsubscribe", f"<{written}>")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:x",
        "a.example",
        "https://a/\r\nBcc: x",
        "https://a/\x00",
        "https://a/\ud800",
        "https://a/" + "a" * 999,
    ],
)
def test_an_address_that_nobody_could_leave_at_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        leaving(url)


@pytest.mark.parametrize("token", ["A", "a b", "a@b", "a\n", "a>", "ä"])
def test_a_token_fits_into_an_address(token: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        leaving("https://a.example/", mail="u+{token}@a.example", token=token)


@pytest.mark.parametrize("pattern", ["unsubscribe@example.org", "{token}", "u+{token}@a b", "U <u+{token}>"])
def test_a_pattern_without_a_place_for_the_token_is_refused(pattern: str) -> None:
    with pytest.raises(RenderError, match="weekly, issue 12 cannot be mailed"):
        leaving("https://a.example/", mail=pattern)


# --- slots -----------------------------------------------------------------------------------------------------------

shared_texts = st.text(st.characters(codec="utf-8", exclude_characters="\uffff"), max_size=100)
own_texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=200)


def mailed(text: str, html: str, **subscriber: str) -> bytes:
    issue = make_issue(text=text.encode(), html=html.encode())
    return Letter(issue, sender="").to(parcel(issue, **subscriber))


def canonical(text: str) -> bytes:
    return re.sub("\r\n|\r|\n", "\r\n", text).encode()


@settings(max_examples=500, deadline=None)
@given(st.lists(shared_texts, min_size=1, max_size=4), own_texts, own_texts)
@example(["x" * 76, "x" * 75, "x" * 74], "y" * 76, "y" * 75)
@example(["a ", " b", "\t", "=\n"], "", "=")
@example(["", ".", "\n.\n"], ".", '<a href="x">&amp; \'')
@example(["\r", "\n", "\r"], "ü" * 76, "--=_" + "0" * 32)
def test_a_slot_is_read_back_as_what_fills_it_and_all_else_as_it_was(shared: list[str], one: str, other: str) -> None:
    pieces = "".join(f"{text}{slot('name')}{slot('address')}" for text in shared)
    message = mailed(f"{pieces}the end", f"{pieces}<p>", name=one, address=other)
    assert well_formed(message)
    assert max(map(len, message.split(b"\r\n\r\n", 1)[1].split(b"\r\n"))) <= 76
    text, html = (part.get_payload(decode=True) for part in parsed(message).iter_parts())
    assert text == b"".join(canonical(text) + f"{one}{other}".encode() for text in shared) + b"the end"
    escaped = f"{escape(one)}{escape(other)}".encode()
    assert html == b"".join(canonical(text) + escaped for text in shared) + b"<p>"


def test_only_the_bytes_in_the_slots_differ_between_recipients() -> None:
    issue = make_issue(text=f"Hello {slot('name')}, read this\n".encode() * 50)
    letter = Letter(issue, sender="")
    one, other = (letter.to(parcel(issue, name=name)) for name in ("Ann", "Bob"))
    assert one.replace(b"Ann", b"Bob") == other
    assert one.count(b"\r\nAnn=\r\n") == 50


def test_a_slot_survives_the_template_that_is_filled_before_it(tmp_path: Path) -> None:
    (tmp_path / "a.html.j2").write_text(
        '<style>a {color: red}</style><a href="{{ subscriber.unsubscribe }}">{{ subscriber.name }}</a>'
    )
    page = css_inline.CSSInliner().inline(Templates(tmp_path).render("a.html.j2", subscriber=ANYBODY))
    message = mailed("", page, unsubscribe="https://a.example/?a=1&b=2", name="<Ann>")
    (_, html) = (part.get_content() for part in parsed(message).iter_parts())
    assert '<a href="https://a.example/?a=1&amp;b=2" style="color: red;">&lt;Ann&gt;</a>' in html


def test_nothing_from_outside_is_a_slot() -> None:
    token, entity = slot("link"), "&#65535;link&#xFFFF;"
    for text in (
        token,
        entity,
        f'<a href="https://a.example/{token}">{entity}</a>',
        f'<img src="//a.example/{token}">',
    ):
        author = Author(name=text, email=f"{token}@a.example", url=f"https://a.example/{text}")
        item = Item(
            link=f"https://a.example/{text}",
            title=text,
            summary=text,
            content=text,
            authors=(author,),
            tags=(text,),
            image=f"https://a.example/{text}",
            enclosures=(Enclosure(url=f"https://a.example/{text}", media_type=f"audio/{token}"),),
            language=token,
        )
        kept = tidy(item, "https://a.example/")
        assert not [value for value in flat(asdict(kept)) if "\uffff" in value]
        assert "&#" not in kept.summary + kept.content


def flat(data: object) -> Iterator[str]:
    if isinstance(data, dict | list | tuple):
        for value in data.values() if isinstance(data, dict) else data:
            yield from flat(value)
    else:
        yield str(data)


def test_a_slot_that_nothing_fills_is_told_before_anything_is_sent() -> None:
    with pytest.raises(RenderError, match=r"weekly, issue 12: nothing is known to fill the slot 'age' with"):
        Letter(make_issue(text=f"You are {slot('age')}".encode()), sender="")


@given(st.lists(shared_texts, min_size=1, max_size=3), own_texts, own_texts)
def test_who_only_looks_sees_what_a_recipient_would_read(shared: list[str], name: str, address: str) -> None:
    subscriber = Subscriber(name=name, address=address)
    text = f"{slot('name')}{slot('address')}".join(shared)
    looked_at = [
        filled(Document(name="mail", media_type=f"text/{kind}", body=text.encode()), subscriber).body
        for kind in ("plain", "html")
    ]
    message = parsed(mailed(text, text, name=name, address=address))
    read = [part.get_payload(decode=True) for part in message.iter_parts()]
    assert read == [canonical(body.decode()) for body in looked_at]


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\x00b", "a\u2028b", "\ud800"])
def test_what_fills_a_slot_is_one_line(value: str) -> None:
    with pytest.raises(ValueError, match="a control character"):
        mailed(f"Hello {slot('name')}", "", name=value)


@pytest.mark.parametrize("name", ["", "a b", "a\uffff", "Name", "a\n"])
def test_a_slot_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a slot"):
        slot(name)


# --- what is hostile -------------------------------------------------------------------------------------------------


@thorough
@given(texts)
@example(ENCODED)
def test_a_subject_is_read_back_as_it_was_meant_or_refused(subject: str) -> None:
    try:
        message = written(make_issue(subject=subject))
    except RenderError:
        assert re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", subject.strip())
        return
    assert well_formed(message)
    assert parsed(message).keys() == HEADERS
    assert message_from_bytes(message).keys() == HEADERS
    assert parsed(message)["Subject"] == subject.strip()


@thorough
@given(texts)
def test_the_title_of_the_site_is_read_back_as_the_sender_s_name_or_refused(title: str) -> None:
    try:
        message = written(make_issue(title=title))
    except RenderError:
        assert re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", title.strip())
        return
    assert well_formed(message)
    assert parsed(message).keys() == HEADERS
    assert mailbox(message, "From") == (title.strip(), "news@news.example.org")


@thorough
@given(texts)
def test_the_name_of_a_recipient_is_read_back_as_it_was_meant_or_refused(name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    try:
        message = written(make_issue(), to=f'"{escaped}" <ann@example.org>')
    except ValueError:
        assert re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", name)
        return
    assert well_formed(message)
    assert parsed(message).keys() == HEADERS
    assert mailbox(message, "To") == (name, "ann@example.org")


@thorough
@given(texts | texts.map(lambda text: f"{text}@example.org") | texts.map(lambda text: f"ann@{text}"))
def test_whatever_stands_for_an_address_there_is_one_recipient_or_none(text: str) -> None:
    try:
        message = written(make_issue(), to=text)
    except ValueError:
        return
    assert well_formed(message)
    assert parsed(message).keys() == HEADERS
    assert len(parsed(message)["To"].addresses) == 1
    assert b"victim@" not in message.split(b"\r\nMessage-ID")[0] or "victim@" in bare_address(text)


@thorough
@given(texts, texts)
def test_neither_names_nor_languages_make_another_header(name: str, language: str) -> None:
    try:
        message = written(make_issue(name=name, language=language))
    except RenderError:
        return
    assert well_formed(message)
    assert message_from_bytes(message).keys() == HEADERS


@pytest.mark.parametrize(
    "identity", ["", "a", "=?utf-8?q?a?=@b", "a@b\r\nBcc: c", "a@b>", "<a@b>", "a b@c", "ä@b", "a@b@c"]
)
def test_what_is_no_message_id_is_refused(identity: str) -> None:
    with pytest.raises(ValueError, match="not a message id"):
        Letter(make_issue(), sender="").to(replace(parcel(make_issue()), message_id=identity))


# --- 2,000 of them ---------------------------------------------------------------------------------------------------

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
CONTROLS = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\r\n ",
    "\n\t",
    "\x00",
    "\x0b",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\ud800",
]
TRICKS = [
    *[
        "=?utf-8?q?=0D=0ABcc=3A_v=40x=2Eorg?=",
        "=?utf-8?b?DQpCY2M6IHg=?=",
        "=?utf-7?q?+AA0ACg-Bcc?=",
        "=?us-ascii?x?a?=",
    ],
    *[
        "=?",
        "?=",
        "=?utf-8?q?",
        "=?utf-8?q?a?= =?utf-8?q?b?=",
        "?= =?",
        "=3D",
        "=\u00a0?utf-8?q?a?=",
        "=?\u200butf-8?q?a?=",
    ],
    *[
        '"',
        "\\",
        '\\"',
        '" <v@x.org>, "',
        "'",
        "``",
        "(",
        ")",
        "(a (b) c)",
        "<v@x.org>",
        "<>",
        ">",
        "<",
        "@",
        "v@x.org",
    ],
    *[
        ",",
        ";",
        ":",
        "a: b",
        "group: v@x.org;",
        "Bcc: v@x.org",
        "%0D%0ABcc: v@x.org",
        "%",
        "%00",
        "\\r\\n",
        "&#13;&#10;",
    ],
    *[
        "\u202e",
        "\u202ctxt\u2066",
        "\u200f",
        "\ufeff",
        "\u200b",
        "\u00a0",
        "\u00ad",
        "\u3000",
        "\ufffd",
        "\uffff",
        "\U0010ffff",
    ],
    *["ü", "e\u0301", "ß", "ﬁ", "Ⅷ", "İ", "新聞", "📰", "👩‍👩‍👧", "🇵🇹", "\U000e0041", "．", "＜", "＠", "\uff02"],
    *[
        " ",
        "  ",
        "   x",
        "x   ",
        ".",
        "..",
        "-",
        "--",
        "_",
        "=",
        "==",
        "?",
        "~",
        "#",
        "a/../b",
        "//",
        "{token}",
        "{{ 7 * 7 }}",
    ],
]
FILLERS = ["a", "Wort ", "x" * 30, "Grüße", "y z "]


def hostile_strings() -> list[str]:
    """2,000 of them, the same each time: tricks at each column where a header may be folded, alone and in crowds."""
    dice = random.Random("headers")
    at_columns = ["x" * column + dice.choice([*TRICKS, *CONTROLS]) + " y" * dice.randrange(40) for column in range(400)]
    crowds = ["".join(dice.choices(TRICKS, k=dice.randint(2, 6))) for _ in range(1250)]
    mixed = ["".join(dice.choices([*TRICKS, *FILLERS, *CONTROLS], k=dice.randint(2, 15))) for _ in range(400)]
    long = [(dice.choice([*TRICKS, *FILLERS]) * 2000)[: dice.randint(900, 1500)] for _ in range(30)]
    made = [*TRICKS, *CONTROLS, *at_columns, *mixed, *long, *crowds]
    return made[:2000]


NAMED = ["From", "Reply-To", "To"]
PLACES = [*NAMED, "subject", "title", "unsubscribe", "publication", "language"]


def told(text: str, *places: str) -> bytes:
    """A message with a text in these places of its headers."""
    at = {place: text if place in places else "" for place in PLACES}
    quoted = {name: at[name].replace("\\", "\\\\").replace('"', '\\"') for name in NAMED}
    author, reply, reader = (f'"{name}" <{header.lower()}@example.org>' for header, name in quoted.items())
    issue = make_issue(
        subject=at["subject"],
        title=at["title"],
        name=f"w{at['publication']}",
        language=f"en{at['language']}",
    )
    letter = Letter(issue, sender=author if "From" in places else "", reply_to=reply)
    return letter.to(parcel(issue, reader, unsubscribe=f"https://news.example.org/{at['unsubscribe']}"))


def is_refused(text: str, place: str) -> bool:
    try:
        told(text, place)
    except (ValueError, RenderError) as error:
        return len(str(error)) > 10
    return False


def read_back(message: bytes) -> dict[str, object]:
    """What a mail parser finds in the places where a hostile string was written."""
    assert well_formed(message)
    head = message.partition(b"\r\n\r\n")[0]
    headers, raw = (BytesHeaderParser(policy=rules).parsebytes(head) for rules in (policy.default, policy.compat32))
    way_out = ["To", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"]
    assert headers.keys() == raw.keys() == [*way_out, "From", "Reply-To", *SHARED[1:]]
    assert [len(headers[name].addresses) for name in NAMED] == [1, 1, 1]
    urls = {
        name: unquote(str(headers[name]).removesuffix(">"))
        for name in ("List-Unsubscribe", "List-Archive", "List-Help")
    }
    return {
        **{name: name_and_address(str(raw[name])) for name in NAMED},
        **urls,
        "Subject": headers["Subject"],
        "Content-Language": unquote(headers["Content-Language"]),
        "List-Id": unquote(headers["List-Id"]),
        "Feedback-ID": [unquote(part) for part in headers["Feedback-ID"].split(":")[:2]],
    }


def meant(text: str, *places: str) -> dict[str, object]:
    """The same, as it should be."""
    at = {place: text if place in places else "" for place in PLACES}
    name = f"w{at['publication']}"
    author = (at["From"], "from@example.org") if "From" in places else (at["title"].strip(), "news@news.example.org")
    page = unquote(f"<https://news.example.org/{name}/")
    return {
        "From": author,
        "Reply-To": (at["Reply-To"], "reply-to@example.org"),
        "To": (at["To"], "to@example.org"),
        "List-Unsubscribe": unquote(f"<https://news.example.org/{at['unsubscribe']}"),
        "List-Archive": page,
        "List-Help": page,
        "Subject": at["subject"].strip(),
        "Content-Language": f"en{at['language']}",
        "List-Id": f"<{name}.news.example.org>",
        "Feedback-ID": [f"{name}-12", name],
    }


def test_2000_hostile_strings_in_each_header_are_read_back_as_they_were_meant_or_refused() -> None:
    strings = hostile_strings()
    assert len(strings) == 2000
    for number, text in enumerate(strings):
        names = ["From" if number % 2 else "title", "Reply-To", "To", "subject"]
        if CONTROL.search(text):
            # Between two letters, for a subject loses what is at its ends.
            assert all(is_refused(f"a{text}z", place) for place in (*names, "unsubscribe")), repr(text)
        else:
            short = len(quote(text)) <= 400  # what is longer may find no room on the one line that it must have
            lists = [place for place in PLACES[5:] if short or not is_refused(text, place)]
            assert read_back(told(text, *names, *lists)) == meant(text, *names, *lists), repr(text)


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("ann@example.org", "ann@example.org"),
        ("  Ann@EXAMPLE.org ", "Ann@example.org"),
        ("<ann@example.org>", "ann@example.org"),
        ("Ann <ann@example.org>", "Ann <ann@example.org>"),
        ("Dr. Ann, MA <ann@example.org>", '"Dr. Ann, MA" <ann@example.org>'),
        ('"Ann \\"A\\"" <ann@example.org>', '"Ann \\"A\\"" <ann@example.org>'),
        ("Jörg Müller <joerg@exämple.org>", "Jörg Müller <joerg@xn--exmple-cua.org>"),
        ("jösé@exämple.org", "jösé@xn--exmple-cua.org"),
        ("root@localhost", "root@localhost"),
        ("team@office.local", "team@office.local"),
        ("news@[127.0.0.1]", "news@[127.0.0.1]"),
    ],
)
def test_an_address_has_one_normal_form(text: str, normal: str) -> None:
    assert check_address(text) == normal
    assert check_address(normal) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@example.org",
        "ann@",
        "ann@example",
        "ann@example..org",
        "ann@-example.org",
        "a b@example.org",
        "ann@example.org, bob@example.org",
        "ann@example.org <",
        "Ann ann@example.org>",
        "a\nb <ann@example.org>",
        "ann@example.org\n",
        f"{'a' * 250}@example.org",
        f"ann@{'a' * 300}.org",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_address(text)


@thorough
@given(texts)
def test_the_normal_form_of_a_name_is_its_own_normal_form(name: str) -> None:
    try:
        normal = check_address(f"{name} <ann@example.org>")
    except ValueError:
        return
    assert check_address(normal) == normal
    assert bare_address(normal) == "ann@example.org"


def test_only_the_local_part_decides_whether_an_address_needs_smtputf8() -> None:
    assert needs_utf8("Ann <jösé@example.org>")
    assert not needs_utf8("Jösé <jose@exämple.org>")


def test_a_letter_tells_its_envelope_what_it_needs() -> None:
    letter = Letter(make_issue(), sender="News <news@exämple.org>", reply_to="jösé@example.org")
    assert (letter.sender, letter.utf8) == ("news@xn--exmple-cua.org", True)
    assert not Letter(make_issue(), sender="").utf8


@pytest.mark.parametrize(
    ("url", "sender"),
    [
        ("https://news.example.org", "Harbour News <news@news.example.org>"),
        ("http://localhost:8080", "Harbour News <news@localhost>"),
        ("http://192.0.2.1:8080", "Harbour News <news@[192.0.2.1]>"),
        ("http://[2001:db8::1]", "Harbour News <news@[IPv6:2001:db8::1]>"),
    ],
)
def test_the_site_writes_when_nobody_else_is_named(url: str, sender: str) -> None:
    assert default_sender(Site(title="Harbour News", url=url)) == sender
    assert parsed(written(make_issue(url=url)))["From"] == sender


def test_a_site_whose_host_is_no_mail_domain_asks_for_a_sender() -> None:
    with pytest.raises(RenderError, match="no mail can come from http://publisher:8080") as caught:
        Letter(make_issue(url="http://publisher:8080"), sender="")
    assert "`from: " in caught.value.hint
    assert Letter(make_issue(url="http://publisher:8080"), sender="news@example.org").sender == "news@example.org"


# --- identity --------------------------------------------------------------------------------------------------------


def test_a_message_id_is_a_function_of_its_arguments_and_tells_nothing_of_them() -> None:
    arguments = (12, "post", "ann@example.org", "news.example.org", "key")
    identity = message_id(*arguments)
    assert identity == message_id(*arguments)
    assert re.fullmatch(r"[0-9a-f]{40}@news\.example\.org", identity)


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
@example(("a", "bc"), ("ab", "c"))
@example(('a", "b', "c"), ("a", 'b", "c'))
def test_no_two_deliveries_share_a_message_id(one: tuple[str, str], other: tuple[str, str]) -> None:
    same = message_id(1, *one, "example.org", "key") == message_id(1, *other, "example.org", "key")
    assert same == (one == other)


def test_another_issue_or_key_is_another_message_id() -> None:
    identities = {message_id(issue, "c", "r", "example.org", key) for issue in (1, 2, "1") for key in ("k", "l")}
    assert len(identities) == 6


def test_a_message_id_can_be_written_whatever_the_host_is() -> None:
    for host in ("münchen.example", "localhost", "::1", "127.0.0.1", "a b\r\n"):
        identity = message_id(1, "c", "r", host, "k")
        message = Letter(make_issue(), sender="").to(replace(parcel(make_issue()), message_id=identity))
        assert parsed(message)["Message-ID"] == f"<{identity}>"


# --- the key of an address -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.ORG", "ada@example.org"),
        ("a@Bücher.example", "a@xn--bcher-kva.example"),
        ("a@bücher.example", "a@bu\u0308cher.example"),
        ("JÜRGEN@example.org", "ju\u0308rgen@EXAMPLE.org"),
        ("a@例え。テスト", "a@例え.テスト"),
    ],
)
def test_an_address_has_one_key_however_it_is_written(one: str, other: str) -> None:
    assert address_key(one) == address_key(other)


def test_two_addresses_have_two_keys() -> None:
    addresses = ["a@straße.example", "a@strasse.example", "b@strasse.example", "a@strasse.example.org", ""]
    assert len(set(map(address_key, addresses))) == 5


@given(st.text())
@example("\ud800@\ud800")
@example("\u1e9e@\u0130")
def test_whatever_the_text_its_key_is_the_key_of_the_key(text: str) -> None:
    assert address_key(address_key(text)) == address_key(text)
