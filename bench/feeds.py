"""The other end: a web server in a process of its own, at which there are any number of feeds.

``/feed/N`` is one of them, RSS for even numbers and Atom for odd ones, with an ETag; each answer leaves 20 ms after
its request has come.  At first each has one entry; ``/next/N`` gives each so many new ones, and leaves it thirty.
"""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

ENTRIES = 30
LATENCY = 0.02

_CONTENT = (
    '<p><img src="/pictures/%(key)s.jpg" alt="The %(word)s harbour" width="640" height="480"/></p>\n'
    "<p>What %(word)s master <em>really</em> %(word)s wrote is %(word)s in "
    '<a href="/letters/%(key)s?from=feed&amp;page=2" rel="bookmark">letter %(key)s</a>, of %(word)s R&amp;D has.</p>\n'
    + "<p>The <em>Gr\u00fc\u00dfe</em> %(word)s of harbour %(word)s came with %(word)s the <strong>evening %(word)s "
    "tide</strong>, and %(word)s nobody who %(word)s read them %(word)s went home %(word)s before the %(word)s last of "
    "%(word)s the boats %(word)s had been %(word)s tied up.</p>\n"
    * 5
    + "<ul><li>Tides: <a href='http://tides.example.org/%(key)s'>as %(word)s foretold</a></li>"
    "<li>Winds: as ever</li></ul>\n"
    "<h3>More %(word)s</h3>\n<blockquote><p>&#8220;It %(word)s is the <code>wind</code>.&#8221;</p></blockquote>\n"
    '<p><a href="http://harbour.example.org/%(key)s/#comments">Say %(word)s what</a></p>'
)
"""No two entries have three words in a row in common, as hardly any two in the world have."""
_DATE = "Sat, 28 Nov 2026 08:00:00 +0000"
_RSS = (
    """\
<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" \
xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:atom="http://www.w3.org/2005/Atom">
<channel>
<title>Harbour %(feed)s</title>
<link>http://harbour.example.org/%(feed)s/</link>
<atom:link href="http://harbour.example.org/%(feed)s/feed" rel="self" type="application/rss+xml"/>
<description>News from the harbour</description>
<language>en</language>
""",
    """\
<item>
<title>Letter %(key)s of the %(word)s master</title>
<link>http://harbour.example.org/%(key)s/</link>
<guid isPermaLink="false">http://harbour.example.org/?p=%(key)s</guid>
<dc:creator><![CDATA[The harbour master]]></dc:creator>
<pubDate>"""
    + _DATE
    + """</pubDate>
<category><![CDATA[Harbour]]></category>
<category><![CDATA[Tide & time]]></category>
<description><![CDATA[The greetings %(word)s of the %(word)s master came %(word)s with the tide.]]></description>
<content:encoded><![CDATA["""
    + _CONTENT
    + """]]></content:encoded>
</item>
""",
    "</channel>\n</rss>\n",
)
_ATOM = (
    """\
<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">
<title>Harbour %(feed)s</title>
<link href="http://harbour.example.org/%(feed)s/"/>
<link href="http://harbour.example.org/%(feed)s/feed" rel="self"/>
<id>tag:harbour.example.org,2026:%(feed)s</id>
<updated>2026-11-28T08:00:00Z</updated>
""",
    """\
<entry>
<title>Letter %(key)s of the %(word)s master</title>
<link href="http://harbour.example.org/%(key)s/"/>
<id>tag:harbour.example.org,2026:%(key)s</id>
<published>2026-11-28T08:00:00Z</published>
<updated>2026-11-28T09:00:00Z</updated>
<author><name>The harbour master</name></author>
<category term="Harbour"/>
<summary type="html">The greetings %(word)s of the %(word)s master came %(word)s with the tide.</summary>
<content type="html">"""
    + _CONTENT.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    + """</content>
</entry>
""",
    "</feed>\n",
)


class Feeds:
    """The way to the server, which is there until ``serving`` ends.

    Args:
        port: where it listens.
    """

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, number: int) -> str:
        """The address of a feed."""
        return f"http://127.0.0.1:{self.port}/feed/{number}"

    def publish(self, entries: int) -> None:
        """Give each feed so many new entries."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", f"/next/{entries}")
        connection.getresponse().read()
        connection.close()


@contextmanager
def serving() -> Iterator[Feeds]:
    """A server of its own, for as long as the block lasts."""
    process = subprocess.Popen([sys.executable, "-m", "bench.feeds"], stdout=subprocess.PIPE)
    try:
        assert process.stdout  # noqa: S101  it was asked for
        yield Feeds(int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait()


# --- the server's side -----------------------------------------------------------------------------------------------


class _Site:
    """All feeds, and how many entries they have had so far."""

    def __init__(self) -> None:
        self._last = 1

    def answer(self, head: bytes) -> bytes:
        """What is answered to a request."""
        path = head.split(b" ", 2)[1].decode()
        _, what, number = path.split("/")
        if what == "next":
            self._last += int(number)
            return _answer("204 No Content", {})
        etag = f'"{number}-{self._last}"'
        if f"if-none-match: {etag}".encode() in head.lower():
            return _answer("304 Not Modified", {"ETag": etag})
        body = self._feed(int(number)).encode()
        kind = "application/atom+xml" if int(number) % 2 else "application/rss+xml"
        return _answer("200 OK", {"ETag": etag, "Content-Type": kind, "Content-Length": str(len(body))}) + body

    def _feed(self, feed: int) -> str:
        head, entry, end = _ATOM if feed % 2 else _RSS
        keys = range(self._last, max(0, self._last - ENTRIES), -1)
        words = ({"key": f"{feed}.{key}", "word": _word(feed * 1_000_003 + key)} for key in keys)
        return "".join((head % {"feed": feed}, *map(entry.__mod__, words), end))


def _word(number: int) -> str:
    """A word that no other number has."""
    return number.to_bytes(5).hex().translate(_LETTERS)


_LETTERS = str.maketrans("0123456789", "ghijklmnop")


def _answer(status: str, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class _Visitor(asyncio.Protocol):
    """One connection, kept for as long as the other side wants."""

    def __init__(self, site: _Site) -> None:
        self._site = site
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101  of a stream it is
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        while b"\r\n\r\n" in self._came:
            head, _, self._came = self._came.partition(b"\r\n\r\n")
            asyncio.get_running_loop().call_later(LATENCY, self._tell, self._site.answer(head))

    def _tell(self, answer: bytes) -> None:
        self._transport.write(answer)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(partial(_Visitor, _Site()), "127.0.0.1", 0, backlog=1000)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
