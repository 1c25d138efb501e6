from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field
from ruamel.yaml import YAML
from waiting import done_in

from publisher import channels, config, sources
from publisher.config import Settings
from publisher.errors import ConfigError
from publisher.model import Site
from publisher.options import MASK, Duration, LocalPath, Secret, WebAddress

EXAMPLE = Path(__file__).parent / "data" / "config.example.yaml"


@dataclass(frozen=True, kw_only=True)
class Selectors:
    item: str
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A feed."""

    kind: ClassVar[str] = "feed"
    url: Annotated[WebAddress, Field(description="Where it is.")]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page without a feed."""

    kind: ClassVar[str] = "page"
    url: Annotated[WebAddress, Field(description="Where it is.")]
    select: Annotated[Selectors | None, Field(description="What to look for.")] = None
    depth: Annotated[int | float, Field(description="How deep.")] = 1
    order: Annotated[Literal["new", "old"], Field(description="Which way.")] = "new"
    words: Annotated[tuple[str, ...], Field(description="Words.")] = ()
    table: Annotated[dict[str, int], Field(description="A table.")] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.select and self.select.item == "table":
            raise ValueError("select: a table is no item")


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder."""

    kind: ClassVar[str] = "folder"
    path: Annotated[LocalPath, Field(description="Where it is.")]


@dataclass(frozen=True, kw_only=True)
class Post:
    """A mail relay."""

    kind: ClassVar[str] = "smtp"
    url: Annotated[Secret, Field(description="The relay.")] = field(repr=False)
    sender: Annotated[str, Field(alias="from", description="Who it is from.")] = ""
    timeout: Annotated[Duration, Field(description="How long.")] = timedelta(seconds=30)

    def __post_init__(self) -> None:
        if not self.url.startswith("smtp"):
            raise ValueError(f"url: no relay: {self.url}")


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A webhook."""

    kind: ClassVar[str] = "webhook"
    url: Annotated[WebAddress, Field(description="Where to post.")]
    secret: Annotated[Secret, Field(description="Signs.")] = ""
    headers: Annotated[dict[str, Secret], Field(description="Headers.")] = field(default_factory=dict)
    body: Annotated[LocalPath | None, Field(description="A template.")] = None


SOURCES = {"feed": Feed, "page": Page, "folder": Folder}
CHANNELS = {"smtp": Post, "webhook": Hook, "folder": Folder}

HEAD = "version: 1\nsite: {title: Harbour News, url: https://news.example.org/}\n"

Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(text: str | bytes, *, head: str = HEAD, **environ: str) -> Settings:
        file = tmp_path / "config.yaml"
        file.write_bytes(text if isinstance(text, bytes) else (head + textwrap.dedent(text)).encode())
        return config.load(file, sources=SOURCES, channels=CHANNELS, environ=environ)

    return read


@pytest.fixture
def faults(read: Read, tmp_path: Path) -> Callable[..., list[str]]:
    def faults(text: str | bytes, **options: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text, **options)
        return [str(fault).replace(f"{tmp_path}/", "") for fault in caught.value.faults]

    return faults


Faults = Callable[..., list[str]]


# --- what is read ----------------------------------------------------------------------------------------------------


def test_a_few_lines_are_enough(read: Read, tmp_path: Path) -> None:
    settings = read("")
    assert settings.site.url == "https://news.example.org"
    assert settings.server.listen == "127.0.0.1:8080"
    assert settings.database == f"sqlite:///{tmp_path}/data/publisher.db"
    assert settings.feeds == tmp_path / "feeds"
    assert settings.templates == tmp_path / "templates"
    assert settings.folder == tmp_path
    assert settings.site_host == "news.example.org"
    assert settings.retry.for_ == timedelta(days=3)
    assert settings.channels["outbox"].options == Folder(path=tmp_path / "outbox")
    assert not settings.sources
    assert settings.model_site() == Site(title="Harbour News", url="https://news.example.org")


def test_a_source_is_its_kind_set_up_and_what_all_kinds_know(read: Read) -> None:
    source = read("""
        sources:
          council:
            kind: page
            url: http://10.0.0.5/notices
            private: true
            every: 6h
            select: {item: article, link: "h2 a@href"}
    """).sources["council"]
    assert (source.name, source.kind, source.title) == ("council", "page", "")
    assert (source.private, source.every) == (True, timedelta(hours=6))
    assert source.options == Page(url="http://10.0.0.5/notices", select=Selectors(item="article", link="h2 a@href"))


def test_sources_take_from_defaults_what_they_do_not_say(read: Read) -> None:
    settings = read("""
        defaults: {every: 2h, timeout: 5s, max_bytes: 1MB, keep: 1w}
        sources:
          blog: {kind: feed, url: "https://a.example/feed"}
          council: {kind: feed, url: "https://b.example/feed", every: 6h}
    """)
    blog, council = settings.sources.values()
    assert (blog.every, blog.timeout) == (timedelta(hours=2), timedelta(seconds=5))
    assert (blog.max_bytes, blog.keep) == (1_000_000, timedelta(weeks=1))
    assert (council.every, council.timeout) == (timedelta(hours=6), timedelta(seconds=5))


def test_an_option_may_have_a_name_that_python_keeps_for_itself(read: Read) -> None:
    channel = read("channels: {post: {kind: smtp, url: smtp://relay, from: News <news@example.org>}}").channels["post"]
    assert channel.options == Post(url="smtp://relay", sender="News <news@example.org>")
    assert channel.name == "post"


def test_a_publication_takes_language_and_time_zone_from_the_site(read: Read) -> None:
    settings = read(
        """
        publications:
          weekly: {title: Weekly, digest: {schedule: "mon 08:00"}}
          night: {title: Night, language: de, digest: {schedule: "daily 22:00", timezone: Asia/Tokyo}}
          page: {title: Page, feeds: {formats: [html]}}
        """,
        head="version: 1\nsite: {title: T, url: 'https://a.example', language: pt, timezone: Europe/Lisbon}\n",
    )
    weekly, night, page = (settings.publication(name) for name in settings.publications)
    assert (weekly.language, weekly.timezone) == ("pt", "Europe/Lisbon")
    assert (night.language, night.timezone) == ("de", "Asia/Tokyo")
    assert (page.timezone, page.formats) == ("Europe/Lisbon", ("html",))
    assert set(settings.digests) == {"weekly", "night"}
    assert settings.digest("weekly").timezone == "Europe/Lisbon"
    assert settings.publications["weekly"].deliver == ("outbox",)


def test_a_schedule_has_no_name_or_is_one_of_several_of_which_the_first_is_the_default(read: Read) -> None:
    settings = read("""
        publications:
          plain: {title: Plain, digest: {schedule: "mon 08:00"}}
          named: {title: Named, digest: {schedule: {weekly: "mon 08:00", daily: daily 08:00, instant: Each  entry}}}
        """)
    plain, named = (settings.digest(name) for name in ("plain", "named"))
    assert (plain.frequencies, plain.default_frequency) == ({"": "mon 08:00"}, "")
    assert list(named.frequencies.items()) == [("", "mon 08:00"), ("daily", "daily 08:00"), ("instant", "each entry")]
    assert named.default_frequency == "weekly"
    asked = ("", "daily", "weekly", "monthly")
    assert [named.frequency(one) for one in asked] == ["", "daily", "", ""]
    assert {plain.frequency(one) for one in asked} == {""}


def test_where_each_reader_has_a_time_zone_of_their_own_dates_are_in_that_of_the_site(read: Read) -> None:
    settings = read(
        """
        publications:
          weekly: {title: Weekly, digest: {schedule: "mon 08:00", timezone: subscriber}}
        """,
        head="version: 1\nsite: {title: T, url: 'https://a.example', timezone: Europe/Lisbon}\n",
    )
    assert settings.digest("weekly").timezone == "subscriber"
    assert settings.zone_of("weekly") == settings.publication("weekly").timezone == "Europe/Lisbon"


def test_nobody_can_sign_up_unless_the_file_says_how(read: Read) -> None:
    assert read("").subscriptions is None
    said = read("subscriptions: {confirm: double, confirm_within: 2d, archive: none}").subscriptions
    assert said
    assert (said.confirm_within, said.archive) == (timedelta(days=2), "none")


def test_a_topic_is_of_sources_and_tags(read: Read) -> None:
    publications = read("""
        sources: {notes: {kind: folder, path: notes}, other: {kind: folder, path: other}}
        publications:
          all: {title: All, topics: {council: {title: Council news, sources: [notes], tags: [council, mayor]}}}
          some: {title: Some, sources: [notes], topics: {n: {title: N, sources: [notes]}, m: {title: M, tags: [m]}}}
        """).publications
    council = publications["all"].topics["council"]
    assert (council.title, council.sources, council.tags) == ("Council news", ("notes",), ("council", "mayor"))
    assert list(publications["some"].topics) == ["n", "m"]


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("topics: {a: {title: A}}", "publications.p.topics.a: needs sources or tags"),
        ("topics: {a: {title: A, sources: [x]}}", "publications.p.topics.a.sources.0: there is no source 'x'"),
        (
            "sources: [n], topics: {a: {title: A, sources: [o]}}",
            "publications.p: topic 'a': 'o' is not among the publication's sources",
        ),
        ("topics: {A: {title: A, tags: [x]}}", "publications.p.topics.A: a name is made of"),
        ("digest: {schedule: {}}", "publications.p.digest.schedule: must name at least 1"),
        ("digest: {schedule: {weekly: often}}", "publications.p.digest.schedule.weekly: not a schedule: 'often'"),
        ("digest: {schedule: {A/B: daily 08:00}}", "publications.p.digest.schedule.A/B: a name is made of"),
        ("digest: {schedule: [daily 08:00]}", "publications.p.digest.schedule: must be text, not a list"),
        ("digest: {schedule: daily 08:00, timezone: subscribers}", "publications.p.digest.timezone: no such time zone"),
    ],
)
def test_a_wrong_topic_or_schedule_is_told_at_its_place(faults: Faults, part: str, fault: str) -> None:
    sources = "{n: {kind: folder, path: n}, o: {kind: folder, path: o}}"
    (found,) = faults(f"sources: {sources}\npublications: {{p: {{title: P, {part}}}}}")
    assert found.startswith(f"config.yaml:4: {fault}")


def test_a_star_means_all_sources_in_the_order_of_the_file(read: Read) -> None:
    settings = read("""
        sources:
          z: {kind: folder, path: z}
          a: {kind: folder, path: a}
        publications:
          all: {title: All}
          one: {title: One, sources: [a]}
    """)
    assert settings.sources_of("all") == ("z", "a")
    assert settings.sources_of("one") == ("a",)


def test_text_stays_as_it_was_written(read: Read) -> None:
    settings = read('secret_key: 0123\npublications: {a: {title: 1.10, description: 2026-11-03}, b: {title: "yes"}}\n')
    assert settings.secret_key == "0123"
    assert [part.title for part in settings.publications.values()] == ["1.10", "yes"]
    assert settings.publications["a"].description == "2026-11-03"


def test_variables_are_filled_in_and_typed_afterwards(read: Read) -> None:
    settings = read(
        """
        secret_key: $${X} costs 5$ or $$5
        server: {listen: "127.0.0.1:${PORT}"}
        database: ${DATABASE:-sqlite:///here.db}
        retry: {attempts: "${TRIES}"}
        log: {level: "${EMPTY:-debug}"}
        """,
        PORT="8081",
        TRIES="3",
        EMPTY="",
    )
    assert settings.secret_key == "${X} costs 5$ or $5"
    assert settings.server.listen == "127.0.0.1:8081"
    assert settings.database.endswith("/here.db")
    assert (settings.retry.attempts, settings.log.level) == (3, "debug")


def test_a_file_is_read_from_the_folder_of_the_configuration(read: Read, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a secret\n")
    assert read("secret_key: !file key").secret_key == "a secret"
    assert read("secret_key: !file ${DIR}/key", DIR=str(tmp_path)).secret_key == "a secret"


def test_the_environment_overrides_the_file(read: Read) -> None:
    settings = read(
        "server: {listen: '127.0.0.1:1'}\ntemplates: mine\ndatabase: ${PUBLISHER_DATABASE_URL}",
        PUBLISHER_SERVER__LISTEN="127.0.0.1:2",
        publisher_templates="null",
        PUBLISHER_CHANNELS__POST__KIND="smtp",
        PUBLISHER_CHANNELS__POST__URL="smtp://relay",
        PUBLISHER_DATABASE_URL="postgresql://localhost/news",
        PUBLISHER_CONFIG="elsewhere.yaml",
    )
    assert settings.server.listen == "127.0.0.1:2"
    assert settings.templates is None
    assert settings.database == "postgresql://localhost/news"
    assert settings.channels["post"].options == Post(url="smtp://relay")


def test_aliases_and_merged_mappings_are_followed(read: Read) -> None:
    settings = read("""
        sources:
          one: &slow {kind: page, url: "https://a.example/1", every: 1d}
          two: {<<: *slow, url: "https://a.example/2"}
    """)
    assert settings.sources["two"].every == timedelta(days=1)
    assert [source.options.url[-1] for source in settings.sources.values()] == ["1", "2"]


def test_a_fingerprint_changes_with_the_kinds_options_only(read: Read) -> None:
    def fingerprint(options: str) -> str:
        return read(f"sources: {{a: {{kind: page, url: 'https://a.example', {options}}}}}").sources["a"].fingerprint

    assert fingerprint("") == fingerprint("every: 1d, keep: 2d, title: A")
    assert fingerprint("") != fingerprint("depth: 2")


# --- what is wrong ---------------------------------------------------------------------------------------------------


def test_a_misspelt_option_is_named_with_its_line_and_the_right_word(faults: Faults) -> None:
    assert faults("""
        sources:
          blog:
            kind: feed
            url: https://a.example
            evry: 1h
    """) == ["config.yaml:8: sources.blog.evry: unknown option (did you mean 'every'?)"]


def test_all_faults_are_told_at_once_in_the_order_of_the_file(faults: Faults) -> None:
    found = faults("""
        server: {listen: nowhere}
        sources:
          blog:
            kind: feed
          council:
            kind: page
            url: ftp://a.example
            select: {itm: x}
            private: perhaps
            words: one
            table: {a: many}
          Big: {kind: folder, path: x}
          fed: {kind: fed}
          bare: https://a.example
        publications:
          weekly:
            title: ""
            sources: [blog, councl]
            feeds: {content: half, formats: [rss, pdf, html], limit: 5000}
            digest: {schedule: often, timezone: Europe/Lisabon}
            recipients: [a@example.org, A@example.org]
            deliver: [outbx]
          static: {title: X}
        secret_key: [a]
        secret_key: b
        retry: {attempts: 0, for: nothing}
        colour: {}
    """)
    assert [re.sub(r" \((write|known).*", "", fault) for fault in found] == [
        "config.yaml:4: server.listen: not an address to listen on: 'nowhere'",
        "config.yaml:6: sources.blog.url: is missing",
        "config.yaml:10: sources.council.url: not a web address: 'ftp://a.example' (it begins with http:// or https://)",
        "config.yaml:11: sources.council.select.itm: unknown option (did you mean 'item'?)",
        "config.yaml:12: sources.council.private: must be true or false, not 'perhaps'",
        "config.yaml:13: sources.council.words: must be a list, not 'one'",
        "config.yaml:14: sources.council.table.a: must be a whole number, not 'many'",
        "config.yaml:15: sources.Big: a name is made of a–z, 0–9, _ and -, begins with a letter or digit, "
        "and has at most 64 of them",
        "config.yaml:16: sources.fed.kind: there is no kind 'fed'",
        "config.yaml:17: sources.bare: must be a mapping of options, not 'https://a.example'",
        "config.yaml:20: publications.weekly.title: is empty",
        "config.yaml:21: publications.weekly.sources.1: there is no source 'councl' (did you mean 'council'?)",
        "config.yaml:22: publications.weekly.feeds.content: must be one of 'full' or 'teaser', not 'half'",
        "config.yaml:22: publications.weekly.feeds.formats.1: must be one of 'rss', 'atom', 'json' or 'html', "
        "not 'pdf'",
        "config.yaml:22: publications.weekly.feeds.limit: must be at most 1000, not '5000'",
        "config.yaml:23: publications.weekly.digest.schedule: not a schedule: 'often'",
        "config.yaml:23: publications.weekly.digest.timezone: no such time zone: 'Europe/Lisabon' "
        "(did you mean 'Europe/Lisbon'?)",
        "config.yaml:24: publications.weekly.recipients: 'A@example.org' is listed twice",
        "config.yaml:25: publications.weekly.deliver.0: there is no channel 'outbx' (did you mean 'outbox'?)",
        "config.yaml:26: publications.static: this name is taken by the house itself "
        "(as are static, api, image, status, health, bounces, websub, subscribe, confirm, preferences, "
        "unsubscribe, alerts)",
        "config.yaml:27: secret_key: must be text, not a list",
        "config.yaml:28: secret_key: is written twice (first in line 27)",
        "config.yaml:29: retry.attempts: must be at least 1, not '0'",
        "config.yaml:29: retry.for: not a duration: 'nothing'",
        "config.yaml:30: colour: unknown option",
    ]


def test_what_a_kind_says_of_its_options_is_told_at_the_source(faults: Faults) -> None:
    assert faults("sources:\n  a:\n    kind: page\n    url: https://a.example\n    select: {item: table}\n") == [
        "config.yaml:4: sources.a: select: a table is no item"
    ]


def test_what_follows_from_a_fault_is_not_told_again(faults: Faults) -> None:
    found = faults(
        """
        defaults: {every: never}
        sources:
          broken: {kind: feed}
          other: {kind: feed, url: "${UNSET}"}
        channels: {post: {kind: smtp, url: "${UNSET}"}}
        publications: {a: {title: A, sources: [broken, other], deliver: [post]}}
        """
    )
    assert [fault.split(": ")[1] for fault in found] == [
        "defaults.every",
        "sources.broken.url",
        "sources.other.url",
        "channels.post.url",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "config.yaml: is empty"),
        ("# nothing\n", "config.yaml: is empty"),
        ("- a\n", "config.yaml:1: must be a mapping of options, such as `version: 1`"),
        ("version: 1\n", "config.yaml:1: site: is missing"),
        ("version: 1\nsite:\n", "config.yaml:2: site: must be a mapping of options, but is empty"),
        ("version: 1\nsite:\n\ttitle: x\n", "config.yaml:3: a tab; indent with spaces"),
        (
            "version: 1\nsite: a: b\n",
            "config.yaml:2: a colon where none can be; look at the indentation, or quote the text",
        ),
        ("version: 1\nsite: [1,\n", "config.yaml:3: not YAML: "),
        (
            "version: 1\nsite: {title: ${X}}\n",
            "config.yaml:2: not YAML: expected ',' or '}', but got '{' (put \"${NAME}\" in",
        ),
        ("version: 1\n---\nversion: 1\n", "config.yaml:2: a second document (---); there can be one only"),
        ("version: *one\n", "config.yaml:1: not YAML: found undefined alias 'one'"),
        ("version: 1\ntitle: '\n", "config.yaml:3: not YAML: found unexpected end of stream (while scanning"),
        ("version: \x01\n", "config.yaml:1: not YAML: special characters are not allowed"),
        ('version: "\\U99999999"\n', "config.yaml: not YAML: "),
        ("a: " + "[" * 200, "config.yaml:1: lists or mappings are nested too deeply"),
        ("a: &a [*a]\n", "config.yaml: has an alias (*name) within what it stands for"),
        ("a: &a {<<: *a}\n", "config.yaml: has an alias (*name) within what it stands for"),
    ],
)
def test_a_file_that_cannot_be_read_has_one_clear_fault(faults: Faults, text: str, fault: str) -> None:
    (found,) = faults(text.encode())
    assert found.startswith(fault)


def test_a_file_in_another_encoding_is_refused_at_the_line(faults: Faults) -> None:
    assert faults("version: 1\n# Olá\n".encode("latin-1")) == ["config.yaml:2: is not UTF-8 text; save it as UTF-8"]


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file"):
        config.load(tmp_path / "nowhere.yaml", sources=SOURCES, channels=CHANNELS, environ={})


def test_a_few_aliases_cannot_fill_the_memory(faults: Faults) -> None:
    bomb = "a: &a [" + "x, " * 99 + "x]\n"
    bomb += "".join(f"{name}: &{name} [{', '.join([f'*{below}'] * 100)}]\n" for below, name in ("ab", "bc", "cd", "de"))
    with done_in(5):
        (found,) = faults(bomb.encode())
    assert "unfolds to more than 200,000 values" in found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("feeds: ${NOT_SET}", "feeds: the environment variable NOT_SET is not set"),
        ("feeds: ${}", "feeds: '${}' is not understood"),
        ("feeds: ${A:-${B}}", "feeds: '${A:-${B}' is not understood"),
        ("feeds: ${A", "feeds: '${A' is not understood"),
        ("feeds: !file nowhere", "feeds: the file 'nowhere' cannot be read: No such file or directory"),
        ("feeds: !file .", "feeds: the file '.' cannot be read: Is a directory"),
        ("feeds: !env HOME", "feeds: !env is not known here (known: !file)"),
        ("feeds: !!binary aaaa", "feeds: !!binary is not known here (known: !file)"),
        ("feeds: !!python/object:os.system [ls]", "feeds: !!python/object:os.system is not known here (known: !file)"),
        ("feeds: {<<: a}", "feeds: << takes a mapping, or a list of them"),
        ("? [a]\n: b", "a key must be plain text"),
    ],
)
def test_what_cannot_be_filled_in_is_a_fault_at_its_line(faults: Faults, text: str, fault: str) -> None:
    assert faults(text)[0].startswith(f"config.yaml:3: {fault}")


def test_faults_of_the_environment_name_the_variable(faults: Faults) -> None:
    assert faults(
        "",
        PUBLISHER_SERVR__LISTEN="127.0.0.1:1",
        PUBLISHER_SERVER__LISTEN="nowhere",
        PUBLISHER_LOG__LEVL="info",
        PUBLISHER_SOURCES__NEW__URL="https://a.example",
    ) == [
        "environment: PUBLISHER_LOG__LEVL: unknown option (did you mean 'level'?)",
        "environment: PUBLISHER_SERVER__LISTEN: not an address to listen on: 'nowhere' "
        "(write 127.0.0.1:8080 or [::1]:8080)",
        "environment: PUBLISHER_SERVR__LISTEN: unknown option (did you mean 'server'?)",
        "environment: PUBLISHER_SOURCES__NEW__URL: sources.new.kind: is missing",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "sources: {a: {kind: feed, url: 'ftp://${SECRET}'}}",
        "sources: {a: {kind: feed, url: 'ftp://reader:hunter2hunter2@a.example'}}",
        "channels: {a: {kind: webhook, url: '${SECRET}'}}",
        "channels: {a: {kind: smtp, url: 'imap://u:hunter2hunter2@a.example'}}",
        "channels: {a: {kind: smtp, url: hunter2hunter2}}",
        "channels: {a: {kind: smtp, url: {hunter2hunter2: x}}}",
        "channels: {a: {kind: smtp, url: '${SECRET}'}}",
        "channels: {a: {kind: '${SECRET}'}}",
        "channels: {a: {kind: smtp, url: smtp://a, timeout: !file secret}}",
        "retry: {attempts: '${SECRET}'}",
        "log: {level: !file secret}",
        "secret_key: !file ${SECRET}",
        "database: mysql://u:hunter2hunter2@a.example/x",
        "publications: {a: {title: A, digest: {schedule: '${SECRET}', timezone: '${SECRET}'}}}",
        "publications: {a: {title: A, recipients: ['${SECRET}']}}",
    ],
)
def test_no_fault_tells_a_secret(faults: Faults, tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text("hunter2hunter2\n")
    assert "hunter2" not in "\n".join(faults(text, SECRET="hunter2hunter2"))


@given(st.text(max_size=80) | st.text("ab:-[]{}&*!|>'\"%@#? \n\t0", max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_no_text_does_more_than_be_faulty(faults: Faults, text: str) -> None:
    assert faults(text.encode("utf-8", "surrogatepass"))


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_a_half_written_file_is_faulty_and_no_more(faults: Faults, data: st.DataObject) -> None:
    text = EXAMPLE.read_text()
    begin = data.draw(st.integers(0, len(text)))
    cut = (
        text[:begin]
        + data.draw(st.text(":{}[]'\"&*!- \n", max_size=3))
        + text[begin + data.draw(st.integers(0, 200)) :]
    )
    assert faults(cut.encode())


# --- what is not yet known -------------------------------------------------------------------------------------------

LATER = {
    "publications.weekly.digest.approve",
    "channels.team.kind",
    "tracking",
    "metrics",
}


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example, in a folder with the secrets that it reads."""
    (tmp_path / "secrets").mkdir()
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "secrets" / "dkim.pem").write_bytes(key)
    (tmp_path / "secrets" / "publisher_key").write_text("a key\n")
    file = tmp_path / "config.yaml"
    file.write_text(EXAMPLE.read_text().replace("/run/secrets/", "secrets/"))
    return file


EXAMPLE_ENVIRONMENT = {
    "IMAP_PASSWORD": "geheim",
    "SMTP_PASSWORD": "geheim",
    "SLACK_URL": "https://hooks.chat.example/geheim",
    "HOOK_SECRET": "whsec_" + "c2VjcmV0" * 4,
}


@pytest.mark.parametrize("real", [False, True], ids=["doubles", "real kinds"])
def test_every_fault_of_the_example_is_that_a_part_is_not_yet_known(example: Path, real: bool) -> None:
    known: Any = (sources.kinds(), channels.kinds()) if real else (SOURCES, CHANNELS)
    with pytest.raises(ConfigError) as caught:
        config.load(example, sources=known[0], channels=known[1], environ=EXAMPLE_ENVIRONMENT)
    found = {fault.place: fault.message for fault in caught.value.faults}
    doubles = {"sources.council.select.title", "sources.council.select.teaser", "sources.council.select.date"}
    doubles |= {"sources.notes.pattern", "channels.post.dkim", "channels.post.bounces", "channels.post.connections"}
    doubles |= {"sources.tips.kind", "sources.newsroom.kind", "sources.planet.kind", "sources.council.full_text"}
    assert set(found) - (set() if real else doubles) == LATER
    assert all("not yet known in this version" in message for place, message in found.items() if place in LATER)


def test_a_kind_that_is_not_yet_known_is_named_beside_those_that_are(faults: Faults) -> None:
    [told] = faults("channels:\n  team:\n    kind: chat\n")
    assert told.startswith("config.yaml:5: channels.team.kind: 'chat' is not yet known in this version (known: ")


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_what_is_shown_is_in_force_and_holds_no_secret(read: Read, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2\n")
    shown = config.show(
        read(
            """
            secret_key: !file key
            database: postgresql://news:${PASSWORD}@db.example/news
            defaults: {every: "${EVERY}"}
            sources:
              blog: {kind: feed, url: "https://reader:hunter2@a.example/feed"}
              council: {kind: page, url: "https://b.example:8080/@news", every: 6h, select: {item: li}}
            channels:
              post: {kind: smtp, url: smtp://u:hunter2@relay, from: a@example.org}
              hook: {kind: webhook, url: "https://c.example/${PASSWORD}", headers: {Authorization: hunter2}}
            """,
            PASSWORD="hunter2",
            EVERY="77m",
        )
    )
    assert not re.search("hunter2|77m|1h17m", shown)
    data = YAML(typ="safe").load(shown)
    assert data["secret_key"] == MASK
    assert data["database"] == f"postgresql://news:{MASK}@db.example/news"
    assert data["sources"]["blog"]["url"] == f"https://reader:{MASK}@a.example/feed"
    assert data["sources"]["blog"]["every"] == data["defaults"]["every"] == MASK
    assert data["sources"]["blog"]["timeout"] == "20s"
    assert data["sources"]["council"]["url"] == "https://b.example:8080/@news"
    assert data["sources"]["council"]["select"] == {"item": "li", "link": ""}
    shared = {"rate": None, "domains": {}, "hours": None, "warm_up": None, "after_crash": "resend"}
    own = {"kind": "smtp", "url": MASK, "from": "a@example.org", "timeout": "30s"}
    assert data["channels"]["post"] == shared | own
    assert data["channels"]["hook"]["url"] == f"https://c.example/{MASK}"
    assert data["channels"]["outbox"] == shared | {"kind": "folder", "path": f"{tmp_path}/outbox"}


def test_what_a_variable_overrides_is_shown_as_it_is_in_force(read: Read) -> None:
    text = "server: {listen: '127.0.0.1:${PORT}'}\nsources: {a: {kind: feed, url: 'https://u:hunter2@a.example'}}"
    settings = read(text, PORT="1", PUBLISHER_SERVER__LISTEN="127.0.0.1:2")
    assert "listen: 127.0.0.1:2\n" in config.show(settings)
    assert "hunter2" not in repr(settings) + repr(settings.sources)


def test_what_is_shown_without_secrets_can_be_read_again(read: Read) -> None:
    first = read(
        "sources: {a: {kind: page, url: 'https://a.example', select: {item: li}}}\npublications: {b: {title: B}}"
    )
    shown = config.show(first)
    assert config.show(read(shown, head="")) == shown


# --- the schema ------------------------------------------------------------------------------------------------------


def shapes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for below in schema.values():
            yield from shapes(below)
    if isinstance(schema, list):
        for below in schema:
            yield from shapes(below)


@pytest.mark.parametrize("real", [False, True], ids=["doubles", "real kinds"])
def test_the_schema_knows_every_option_and_no_other(real: bool) -> None:
    known: Any = (sources.kinds(), channels.kinds()) if real else (SOURCES, CHANNELS)
    schema = config.schema(sources=known[0], channels=known[1])
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(schema)) == schema
    objects = [shape for shape in shapes(schema) if shape.get("type") == "object"]
    assert all("additionalProperties" in shape for shape in objects)
    assert all(shape["additionalProperties"] is False for shape in objects if "properties" in shape)
    for shape in objects:
        if shape.get("title") != "Selectors":
            assert [
                name
                for name, option in shape.get("properties", {}).items()
                if not option.keys() & {"description", "$ref"}
            ] == []


def test_the_schema_tells_kinds_apart_and_speaks_the_operators_words() -> None:
    schema = config.schema(sources=SOURCES, channels=CHANNELS)
    (choice,) = schema["properties"]["sources"]["patternProperties"].values()
    kinds = {schema["$defs"][one["$ref"].split("/")[-1]]["properties"]["kind"]["const"] for one in choice["oneOf"]}
    assert kinds == {"feed", "page", "folder"}
    assert schema["properties"]["sources"]["additionalProperties"] is False
    assert schema["$defs"]["Defaults"]["properties"]["every"]["default"] == "30m"
    assert "from" in schema["$defs"]["PostChannelSettings"]["properties"]
    assert set(schema["required"]) == {"version", "site"}


# --- what it costs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "seconds"), [(7, 0.15), (2000, 3)])
def test_a_small_file_is_read_at_once_and_a_large_one_soon(read: Read, count: int, seconds: float) -> None:
    read("")  # what is imported and made once is not counted
    listed = "".join(f"  s{n}:\n    kind: feed\n    url: https://a.example/{n}\n    every: 1h\n" for n in range(count))
    with done_in(seconds):
        read("sources:\n" + listed)
