"""A hub, real and on loopback: it verifies whoever asks it, keeps them until their lease ends, and pushes to them."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import requests


@dataclass
class Subscribed:
    """Somebody whom the hub pushes to."""

    topic: str
    secret: str
    until: datetime


@dataclass
class Asked:
    """A question that the hub was asked."""

    form: dict[str, str]
    media_type: str

    @property
    def mode(self) -> str:
        return self.form["hub.mode"]

    @property
    def callback(self) -> str:
        return self.form["hub.callback"]


@dataclass
class Hub:
    """A hub.  ``status`` is what it answers, ``lease`` what it grants in place of what it is asked for."""

    clock: Callable[[], datetime]
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    lease: str = ""
    verifies: bool = True
    synchronous: bool = False
    """It verifies before it answers, as hubs of version 0.3 do."""
    algorithm: str = "sha1"
    asked: list[Asked] = field(default_factory=list)
    verdicts: list[tuple[int, str]] = field(default_factory=list)
    """What the verified answered: status, and whether with the challenge."""
    subscribed: dict[str, Subscribed] = field(default_factory=dict)
    """By their callbacks."""

    def __post_init__(self) -> None:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                hub.asked.append(Asked(form, self.headers["Content-Type"]))
                verifying = hub.verifies and hub.status < 300
                if verifying and hub.synchronous:
                    hub.verify(form)
                self.send_response(hub.status)
                for name, value in hub.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if verifying and not hub.synchronous:
                    hub.verify(form)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hub?of=1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def verify(self, form: dict[str, str], **other: str) -> int:
        """Ask the callback whether it wants this; what it confirms is noted."""
        lease = self.lease or form.get("hub.lease_seconds", "")
        query = {
            "hub.mode": form["hub.mode"],
            "hub.topic": form["hub.topic"],
            "hub.challenge": secrets.token_urlsafe(),
            "hub.lease_seconds": lease,
        } | {f"hub.{name}": value for name, value in other.items()}
        answer = requests.get(form["hub.callback"], params=query, timeout=20, allow_redirects=False)
        confirmed = answer.ok and answer.text == query["hub.challenge"]
        if confirmed and form["hub.mode"] == "subscribe":
            until = self.clock() + timedelta(seconds=int(lease or 0))
            self.subscribed[form["hub.callback"]] = Subscribed(form["hub.topic"], form.get("hub.secret", ""), until)
        elif confirmed:
            self.subscribed.pop(form["hub.callback"], None)
        self.verdicts.append((answer.status_code, "challenge" if confirmed else ""))
        return answer.status_code

    def deny(self, form: dict[str, str], reason: str = "") -> int:
        """Tell the callback that there will be nothing."""
        query = {"hub.mode": "denied", "hub.topic": form["hub.topic"], "hub.reason": reason}
        self.subscribed.pop(form["hub.callback"], None)
        return requests.get(form["hub.callback"], params=query, timeout=20).status_code

    def push(self, body: bytes, *, signature: str | None = None, media_type: str = "application/rss+xml") -> list[int]:
        """Push to all whose lease has not ended; returns what they answered.

        Args:
            signature: in place of the right one; empty: none.
        """
        answers = []
        for callback, one in [*self.subscribed.items()]:
            if one.until <= self.clock():
                continue
            made = f"{self.algorithm}={hmac.new(one.secret.encode(), body, self.algorithm).hexdigest()}"
            signed = made if signature is None else signature
            headers = {"Content-Type": media_type, "Link": f'<{self.url}>; rel="hub", <{one.topic}>; rel="self"'}
            headers |= {"X-Hub-Signature": signed} if signed else {}
            answer = requests.post(callback, body, headers=headers, timeout=30, allow_redirects=False)
            answers.append(answer.status_code)
            if answer.status_code == 410:
                del self.subscribed[callback]
        return answers
