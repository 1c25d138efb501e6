"""The outside world, real and on loopback: a web site that changes, a mail server that records, and a clock to turn."""

from __future__ import annotations

import email
import email.policy
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Session


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Response:
    """What the web site answers at a path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/rss+xml"})


class WebSite:
    """A web server on loopback: ``pages`` says what it answers, ``hits`` counts; it knows conditional requests."""

    def __init__(self) -> None:
        site = self
        self.pages: dict[str, Response] = {}
        self.hits: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.hits.append(self.path)
                page = site.pages.get(self.path, Response(b"not here", 404))
                tag = f'"{hash(page.body):x}"'
                if page.status == 200 and self.headers.get("If-None-Match") == tag:
                    page = Response(b"", 304)
                self.send_response(page.status)
                for name, value in page.headers.items():
                    self.send_header(name, value)
                self.send_header("ETag", tag)
                self.send_header("Content-Length", str(len(page.body)))
                self.end_headers()
                self.wfile.write(page.body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Post:
    """A post of the web site."""

    slug: str
    published: datetime
    title: str = ""
    text: str = ""
    guid: str = ""

    @property
    def heading(self) -> str:
        return self.title or f"About {self.slug}"


def rss(site: str, posts: list[Post]) -> Response:
    """A feed of posts, newest first, as a blog would serve it."""
    items = "".join(
        f"<item><title>{escape(post.heading)}</title><link>{site}/posts/{post.slug}</link>"
        f"<guid isPermaLink='false'>{escape(post.guid or f'tag:blog,{post.slug}')}</guid>"
        f"<pubDate>{post.published:%a, %d %b %Y %H:%M:%S} +0000</pubDate>"
        f"<description>{escape(post.text or f'<p>The text about {post.slug}.</p>')}</description></item>"
        for post in posts
    )
    feed = f"<rss version='2.0'><channel><title>Blog</title><link>{site}/</link><description/>{items}</channel></rss>"
    return Response(feed.encode())


class MailServer:
    """An SMTP server on loopback that keeps what it takes, with the moment by the given clock."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.mails: list[Mail] = []
        self.refusal = ""
        self._clock = clock
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    async def handle_EHLO(  # noqa: N802  (aiosmtpd's name)
        self, server: object, session: Session, envelope: object, hostname: str, responses: list[str]
    ) -> list[str]:
        # It reads what comes in any grouping, and so may say that commands can come ahead of its answers.
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802 (aiosmtpd's name)
        if self.refusal:
            return self.refusal
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails += [Mail(self._clock(), recipient, message) for recipient in envelope.rcpt_tos]
        return "250 OK"

    def close(self) -> None:
        self._controller.stop()


@dataclass(frozen=True)
class Mail:
    """A mail that was taken."""

    at: datetime
    to: str
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        assert body
        return str(body.get_content())
