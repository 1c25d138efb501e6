"""What is read fast is read as feedparser reads it; and most of what is written as usual is read fast."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from publisher.errors import SourceError
from publisher.sources import _fast
from publisher.sources._syndicated import parse

GOLDEN = Path(__file__).parent.parent / "golden" / "feed"
CORPUS = os.environ.get("FEEDS", "")
"""A folder with any number of feeds: feedparser's own are in ``tests`` of its source distribution."""
URL = "http://example.org/blog/feed.xml?a=1"

words = str.split


def outcome(body: bytes) -> Any:
    try:
        return parse(body, "", URL)
    except SourceError as error:
        return str(error)


def slowly(body: bytes) -> Any:
    """What feedparser makes of it."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(_fast, "read", lambda text, url: None)
        return outcome(body)


def samples(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix not in (".json", ".py")]


# --- what there is ---


@pytest.mark.parametrize("file", samples(GOLDEN), ids=lambda file: f"{file.parent.name}/{file.name}")
def test_each_sample_is_read_the_same_either_way(file: Path) -> None:
    assert outcome(file.read_bytes()) == slowly(file.read_bytes())


@pytest.mark.timeout(1200)
@pytest.mark.skipif(not CORPUS, reason="FEEDS names no folder of feeds, such as tests/ of feedparser's sources")
def test_each_feed_of_a_corpus_is_read_the_same_either_way() -> None:
    files = samples(Path(CORPUS))
    different = [file for file in files if outcome(file.read_bytes()) != slowly(file.read_bytes())]
    assert files
    assert different == []


@pytest.mark.parametrize("name", words("rss-2.0 atom-no-alternate youtube podcast media-rss rss-1.0-rdf"))
def test_what_is_written_as_usual_is_read_fast(name: str) -> None:
    [file] = [file for file in samples(GOLDEN / name) if file.suffix != ".json"]
    assert _fast.read(file.read_text(), URL) is not None


# --- what there might be ---

SPACES = {
    "atom": "http://www.w3.org/2005/Atom",
    "content": "http://purl.org/rss/1.0/modules/content/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "feedburner": "http://rssnamespace.org/feedburner/ext/1.0",
    "itunes": "http://www.itunes.com/dtds/podcast-1.0.dtd",
    "media": "http://search.yahoo.com/mrss/",
    "podcast": "https://podcastindex.org/namespace/1.0",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "slash": "http://purl.org/rss/1.0/modules/slash/",
    "x": "urn:nobody-knows-it",
}
NAMES = words(
    "title title title link link link guid guid id id description description summary summary content content "
    "author author category category pubDate published updated source enclosure enclosure language image comments "
    "contributor created date keywords name url subtitle rights tags body "
    "atom:link atom:id atom:author atom:summary atom:updated content:encoded content:encoded dc:creator dc:date "
    "dc:description dc:language dc:subject dc:title dcterms:created dcterms:modified feedburner:origLink "
    "itunes:author itunes:category itunes:duration itunes:explicit itunes:image itunes:keywords itunes:owner "
    "itunes:subtitle itunes:summary itunes:title media:category media:content media:content media:description "
    "media:group media:keywords media:rating media:thumbnail media:title podcast:image slash:comments x:title x:foo"
)
TEXTS = (
    "", " ", "Title", "A <b>bold</b> word", "R&D", "R&amp;D", "&lt;p&gt;x&lt;/p&gt;", "<p>One</p>\n<p>Two</p>",
    "http://example.org/1", "/2?a=1&b=2", "?p=3&amp;q=4", "http:///x", "Sat, 28 Nov 2026 08:00:00 +0000",
    "2026-11-28T08:00:00+01:00", "1795852800", "yesterday", "ada@example.org (Ada)", "Ada", "a, b,, c",
    "Grüße", "GrÃ¼ÃŸe", "\u2028", "urn:uuid:1", "true", "de_AT",
)  # fmt: skip
ATTRIBUTES = {
    "href": ("http://example.org/3", "/4?a&b", "", "mailto:a@example.org"),
    "url": ("http://example.org/5.mp3", "6.jpg"),
    "rel": ("alternate", "self", "enclosure", "Related", ""),
    "type": ("text", "html", "text/html", "text/plain", "TEXT/HTML", "xhtml", "audio/mpeg", "image/png", ""),
    "length": ("1000", "x"),
    "isPermaLink": ("true", "false"),
    "term": ("Term", ""),
    "label": ("Label",),
    "domain": ("http://example.org/tags",),
    "text": ("Arts",),
    "medium": ("image", "video"),
    "width": ("100",),
    "src": ("http://example.org/7",),
    "mode": ("escaped",),
    "lang": ("de", ""),
    "xml:lang": ("fr-CA", ""),
    "xml:base": ("http://base.example.org/", "sub/"),
    "rdf:about": ("http://example.org/8",),
}

texts = st.one_of(*[st.sampled_from(TEXTS)] * 5, st.text(max_size=5))
attributes = st.dictionaries(st.sampled_from(list(ATTRIBUTES)), st.integers(0, 9), max_size=2).map(
    lambda found: "".join(
        f" {name}={quoteattr(ATTRIBUTES[name][n % len(ATTRIBUTES[name])])}" for name, n in found.items()
    )
)


def _element(name: str, told: str, content: list[str]) -> str:
    return f"<{name}{told}>{''.join(content)}</{name}>"


ANY = (st.sampled_from(NAMES), attributes | st.just(""))
leaves = st.builds(_element, *ANY, st.lists(texts.map(escape), max_size=1))
elements = st.recursive(leaves, lambda inner: st.builds(_element, *ANY, st.lists(inner, max_size=3)), max_leaves=4)


def _likely(names: str, told: list[str]) -> st.SearchStrategy[str]:
    """These elements, with one of these attributes or none."""
    return st.builds(
        _element,
        st.sampled_from(words(names)),
        st.sampled_from(["", "", *told]),
        st.lists(texts.map(escape), max_size=1),
    )


CONSTRUCTS = [' type="html"', ' type="text"', ' xml:lang="de_AT"', ' xml:base="sub/"', ' lang=""', ' src="/9"']
likely = st.one_of(
    _likely("title dc:title media:title summary description dc:description itunes:summary", CONSTRUCTS),
    _likely("content content:encoded media:description", CONSTRUCTS),
    _likely(
        "link atom:link", [' href="/1"', ' rel="self" href="2"', ' rel="enclosure" type="audio/mpeg" href="3.mp3"']
    ),
    _likely("guid id atom:id", [' isPermaLink="true"', ' isPermaLink="false"']),
    _likely("pubDate published updated dc:date dcterms:created created lastBuildDate", []),
    _likely("author dc:creator itunes:author managingEditor", []),
    _likely("category dc:subject media:category", [' term="a"', ' label="B" term=""', ' domain="c"', ' scheme="d"']),
    _likely("media:keywords itunes:keywords language dc:language feedburner:origLink itunes:title", []),
    _likely("media:content media:thumbnail", [' url="1.jpg" medium="image"', ' url="2.mp4" type="video/mp4"']),
    _likely("enclosure itunes:image podcast:image", [' url="4.mp3" type="Audio/mpeg" length="7"', ' href="5.png"']),
    _likely("source itunes:duration x:foo slash:comments media:rating rights subtitle", [' url="6"']),
    st.builds(
        _element,
        st.sampled_from(words("author contributor media:group media:content source")),
        st.sampled_from(("", ' url="7"')),
        st.lists(
            _likely("name email uri", [])
            | _likely("media:title media:content media:thumbnail media:description", [' url="8" type="image/png"'])
            | _likely("title id updated", []),
            max_size=3,
        ),
    ),
)
heads = st.one_of(
    _likely("title dc:title description itunes:summary", CONSTRUCTS),
    _likely("link atom:link", [' href="/1"', ' rel="self" href="2"', ' rel="alternate" type="text/html" href="3"']),
    _likely("id guid pubDate updated author dc:creator language dc:language category copyright generator", []),
    _likely("itunes:image itunes:category itunes:explicit ttl x:foo icon logo", [' href="/4.png"', ' text="Arts"']),
    _likely("image itunes:owner textInput skipHours", []),
)
tame, wild = st.lists(likely, max_size=8), st.lists(likely | leaves | elements, max_size=5)
parts = st.one_of(tame, tame, tame, wild)


def _declared(default: str = "") -> str:
    named = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in SPACES.items())
    return f' xmlns="{default}"{named}' if default else named


def _rss(told: str, head: list[str], items: list[str]) -> str:
    inside = "".join(head) + "".join(f"<item{told}>{item}</item>" for item in items)
    return f'<rss version="2.0"{_declared()}><channel>{inside}</channel></rss>'


def _atom(told: str, head: list[str], items: list[str]) -> str:
    inside = "".join(head) + "".join(f"<entry>{item}</entry>" for item in items)
    return f"<feed{_declared(SPACES['atom'])}{told}>{inside}</feed>"


def _rdf(told: str, head: list[str], items: list[str]) -> str:
    spaces = _declared("http://purl.org/rss/1.0/").replace(f' xmlns:atom="{SPACES["atom"]}"', "")
    inside = "".join(f"<item{told}>{item}</item>" for item in items)
    whole = f"<rdf:RDF{spaces}><channel>{''.join(head)}</channel>{inside}</rdf:RDF>"
    return whole.replace("<atom:", "<x:").replace("</atom:", "</x:")


feeds = st.builds(
    lambda form, *parts: form(*parts),
    st.sampled_from((_rss, _atom, _rdf)),
    st.sampled_from(("", "", "", ' xml:lang="de"', ' lang="nl"', ' xml:base="http://base.example.org/x/"')),
    st.one_of(*[st.lists(heads, max_size=4)] * 3, wild),
    st.lists(parts.map("\n".join), min_size=1, max_size=3),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(feeds)
def test_whatever_a_feed_holds_it_is_read_the_same_either_way(text: str) -> None:
    assert outcome(text.encode()) == slowly(text.encode())
