"""The documents tell the truth: the reference is what the code says, links lead somewhere, examples work."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import shlex
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from standardwebhooks import Webhook

from publisher.access import SCOPES
from publisher.app import initialise, load, schema
from publisher.cli import cli
from publisher.model import Entry, Issue, Publication, Site
from publisher.renderers import digest
from publisher.templating import Templates
from publisher.web.api import ENDPOINTS

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(document.relative_to(ROOT)) for document in DOCUMENTS]

SECRET = "whsec_" + base64.b64encode(b"a secret of many bytes, to sign with").decode()
ENVIRONMENT = {
    "SMTP_PASSWORD": "word",
    "IMAP_PASSWORD": "word",
    "DATABASE_PASSWORD": "word",
    "ROOM_URL": "https://room.example.org/hook",
    "ROOM_TOKEN": "word",
}
KEY = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
FILES = {
    "secrets/partner": SECRET,
    "secrets/mailgun": "word",
    "secrets/relay": "smtps://publisher:word@smtp.example.org",
    "secrets/dkim.pem": KEY,
}
HEAD = "version: 1\nsite: {title: Harbour News, url: 'https://news.example.org'}\n"


def made() -> Any:
    spec = importlib.util.spec_from_file_location("make", REFERENCE / "make.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Fenced code of one language, and where it is."""
    for name, document in zip(NAMES, DOCUMENTS, strict=True):
        text = document.read_text()
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if found[1] == language:
                yield f"{name}:{text.count(chr(10), 0, found.start()) + 1}", found[2]


def fixed(pairs: Iterator[tuple[str, str]]) -> Any:
    places = list(pairs)
    return pytest.mark.parametrize("text", [text for _, text in places], ids=[place for place, _ in places])


# --- the reference ---------------------------------------------------------------------------------------------------


def test_the_reference_on_disk_is_what_the_code_says_now() -> None:
    stale = [name for name, text in made().documents().items() if (REFERENCE / name).read_text() != text]
    assert stale == [], "run `make docs`"


def options(shape: Any) -> Iterator[str]:
    if isinstance(shape, dict):
        yield from shape.get("properties", {})
    for below in shape.values() if isinstance(shape, dict) else shape if isinstance(shape, list) else ():
        yield from options(below)


def test_every_option_is_in_the_reference() -> None:
    told = (REFERENCE / "configuration.md").read_text()
    assert {name for name in options(schema()) if f"| `{name}` |" not in told} == {"kind"}


def test_every_kind_has_an_example() -> None:
    told = (REFERENCE / "configuration.md").read_text()
    sections = re.split(r"^###? ", told, flags=re.MULTILINE)
    kinds = [section for section in sections if re.match("(Source|Channel) kind", section)]
    assert len(kinds) >= 6
    assert [section.partition("\n")[0] for section in kinds if "```yaml" not in section] == []


def commands(group: Any, *above: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *above, name)
        else:
            yield " ".join((*above, name)), command


def test_every_command_and_each_of_its_options_is_in_the_reference() -> None:
    sections = {
        section.partition("`\n")[0]: section
        for section in re.split(r"^## `", (REFERENCE / "commands.md").read_text(), flags=re.MULTILINE)
    }
    for path, command in commands(typer.main.get_command(cli), "publisher"):
        assert "Example" in command.help, f"{path} has no example"
        section = sections[path]
        assert [name for one in command.params for name in one.opts if name not in section and not one.metavar] == []


# --- links -----------------------------------------------------------------------------------------------------------


def anchors(document: Path) -> set[str]:
    """The headings as GitHub names them."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_internal_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = document.parent / unquote(path) if path else document
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def test_every_document_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    told = [str(one.relative_to(ROOT / "docs")) for one in DOCUMENTS if one.is_relative_to(ROOT / "docs")]
    assert [name for name in told if name not in index and not name.startswith(("news/", "index"))] == []


# --- examples --------------------------------------------------------------------------------------------------------


def put(folder: Path, text: str) -> Path:
    """A configuration, with the files that examples name."""
    (folder / "secrets").mkdir(exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_text(content)
    file = folder / "config.yaml"
    file.write_text(text)
    return file


@fixed(blocks("yaml"))
def test_an_example_of_a_configuration_loads(text: str, tmp_path: Path) -> None:
    head = "" if text.startswith("version: 1") else HEAD.partition("site")[0] if "site:" in text else HEAD
    settings = load(put(tmp_path, head + text), ENVIRONMENT)
    for part in settings.digests.values():
        Templates().check_text(part.subject)


def test_the_configuration_loads_and_so_do_its_commented_examples(tmp_path: Path) -> None:
    text = (ROOT / "config.yaml").read_text()
    plain = load(put(tmp_path, text), {})
    full = load(put(tmp_path, made().uncommented(text)), ENVIRONMENT)
    assert len(full.sources) > len(plain.sources)
    assert len(full.channels) > len(plain.channels)


def test_what_init_writes_loads_with_its_commented_examples(tmp_path: Path) -> None:
    text = initialise(tmp_path / "new", "", private=False).file.read_text()
    settings = load(put(tmp_path, made().uncommented(text)), ENVIRONMENT)
    assert set(settings.channels) == {"outbox", "post"}


@pytest.fixture
def issue() -> Issue:
    now = datetime.now(UTC)
    site = Site(title="Harbour News", url="https://news.example.org")
    entries = tuple(
        Entry(number=n, uid=f"urn:x:{n}", source="blog", title=f'The "{n}"', link="", arrived=now, changed=now)
        for n in (1, 2, 3)
    )
    publication = Publication(name="weekly", title="The Harbour Weekly", site=site)
    return Issue(number=1, publication=publication, created=now, entries=entries, subject='The "1"')


def test_the_template_of_the_documents_makes_a_mail(issue: Issue, tmp_path: Path) -> None:
    [text] = [text for _, text in blocks("jinja") if "extends" in text]
    (tmp_path / "digest.html.j2").write_text(text)
    documents = digest(Templates(tmp_path), template="digest", subject="News").render(issue)
    [mail] = [document.text for document in documents if document.name == "mail.html"]
    assert re.search(r'<h1 class="name" style="[^"]*color: #7a1f1f', mail)
    assert ".name { color: #f0b8a8 !important; }" in mail
    assert "In this issue" not in mail


def test_of_the_templates_of_the_documents_only_the_one_that_asks_is_made_for_each_reader(tmp_path: Path) -> None:
    personal = {}
    for _, text in blocks("jinja"):
        (tmp_path / "digest.html.j2").write_text(text)
        personal[text] = digest(Templates(tmp_path), template="digest", subject="News").personal
    assert [text for text, is_personal in personal.items() if is_personal] == [
        text for text in personal if "Dear" in text
    ]


def test_the_body_of_the_documents_is_json(issue: Issue) -> None:
    [body] = [text for _, text in blocks("") if text.startswith('{"text":')]
    made = json.loads(Templates().render_text(body, issue=issue, entries=issue.entries))
    assert made["text"].startswith('The "1"\n')


def typed() -> Iterator[tuple[str, str]]:
    """What follows ``publisher`` and the options that stand before a command."""
    start = r"(?:sudo -u publisher /opt/publisher/bin/|docker compose (?:run --rm|exec) publisher )?publisher "
    for place, text in blocks(""):
        for line in re.findall(rf"^{start}(?:-c \S+ |-v )*([a-z].*)", text, re.MULTILINE):
            if "[OPTIONS]" not in line:  # which is a form, not a command
                yield f"{place} {line}", line


@fixed(typed())
def test_a_command_in_the_documents_can_be_typed(text: str) -> None:
    words = shlex.split(re.split(" [<>] | && ", re.sub(r"\$\(.*?\)", "today", text))[0], comments=True)
    command: Any = typer.main.get_command(cli)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("publisher", words)


def test_the_receiver_of_the_documents_takes_what_is_signed_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [(_, code)] = [block for block in blocks("python") if "class Receiver" in block[1]]
    [(_, event)] = [block for block in blocks("json") if "issue.published" in block[1]]
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    known: dict[str, Any] = {"__name__": "receiver"}
    exec(code, known)
    monkeypatch.setattr(known["Receiver"], "log_message", lambda *_: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), known["Receiver"])
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        assert [posted(address, event, SECRET) for _ in range(2)] == [204, 204]
        assert posted(address, event, SECRET.replace("YSBz", "YSBt")) == 401
    finally:
        server.shutdown()
        server.server_close()
    [entry] = json.loads(event)["data"]["entries"]
    assert capsys.readouterr().out == f"{entry['title']} {entry['link']}\n"


def posted(address: str, event: str, secret: str) -> int:
    """The status that a receiver answers to a webhook."""
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, event),
    }
    try:
        return int(urllib.request.urlopen(urllib.request.Request(address, event.encode(), headers)).status)
    except urllib.error.HTTPError as error:
        return error.code


# --- the API ---------------------------------------------------------------------------------------------------------


def requested() -> Iterator[tuple[str, str]]:
    """The calls of curl in the documents."""
    for place, text in blocks("sh"):
        for call in re.findall(r"^curl (?:[^\n]|(?<=\\)\n|\n(?=    \"|  \}))*", text, re.MULTILINE):
            if "/api/v1/" in call:
                yield f"{place} {call.split('-H')[0]}", call


@fixed(requested())
def test_a_call_of_the_api_in_the_documents_is_one_that_it_knows(text: str) -> None:
    words = shlex.split(text.replace("\\\n", " "))
    [address] = [word for word in words if word.startswith("https://")]
    options = dict(pairwise(words))
    method = options.get("-X", "POST" if "-d" in words else "GET")
    path, _, query = address.partition("/api/v1")[2].partition("?")
    routes = [one for one in ENDPOINTS if re.fullmatch(re.sub("{.*?}", "[^/]+", one.path), path)]
    [endpoint] = [one for one in routes if one.method == method]
    assert "Authorization: Bearer $TOKEN" in words
    endpoint.query.model_validate(dict(parse_qsl(query)))
    assert ("-d" in words) == (endpoint.body is not None) == ("Content-Type: application/json" in words)
    if endpoint.body:
        endpoint.body.model_validate_json(options["-d"])


def test_every_request_and_every_scope_of_the_api_is_in_the_reference_and_its_use_is_shown() -> None:
    told = (REFERENCE / "api.md").read_text()
    assert [one.path for one in ENDPOINTS if f"## `{one.method} /api/v1{one.path}`" not in told] == []
    assert [scope for scope in SCOPES if f"| `{scope}` |" not in told] == []
    assert len(list(requested())) >= 8


# --- why -------------------------------------------------------------------------------------------------------------


def test_the_floors_of_the_house_are_those_that_imports_are_held_to() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [contract] = [one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    rows = re.findall(r"^\| \d[^|]*\| ((?:`\w+` ?)+)\|", (ROOT / "docs/why/house.md").read_text(), re.MULTILINE)
    assert [re.findall(r"\w+", row) for row in rows] == [
        re.findall(r"publisher\.(\w+)", layer) for layer in contract["layers"]
    ]


def test_every_test_that_a_document_names_exists() -> None:
    named = {
        one for document in DOCUMENTS for one in re.findall(r"tests/([\w/]+\.py)::(test_\w+)", document.read_text())
    }
    assert len(named) > 20
    missing = [
        f"{file}::{name}"
        for file, name in sorted(named)
        if not (path := ROOT / "tests" / file).exists() or f"def {name}(" not in path.read_text()
    ]
    assert missing == []


def test_each_row_of_what_can_happen_to_a_mail_names_a_test() -> None:
    rows = re.findall(r"^\| ([^|]*) \| ([^|]*) \|$", (ROOT / "docs/why/delivery.md").read_text(), re.MULTILINE)
    claims = {claim: shown for claim, shown in rows if claim != "---"}
    assert len(claims) > 25
    assert [claim for claim, shown in claims.items() if "`tests/" not in shown] == []
