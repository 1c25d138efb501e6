"""A house with an API, and hands that use it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import requests
from outside import Clock, MailServer

from publisher.access import SCOPES
from publisher.app import App

HOUSE = """
sources:
  newsroom: {{kind: api}}
  wire: {{kind: api, title: The wire}}
  notes: {{kind: folder, path: notes}}
publications:
  weekly:
    title: The Weekly
    sources: [newsroom, notes]
    topics:
      harbour: {{title: Harbour, sources: [notes]}}
      town: {{title: Town, tags: [town]}}
    digest: {{schedule: {{weekly: "mon 08:00", daily: "daily 08:00"}}}}
    deliver: [post]
    recipients: [team@example.org]
  all: {{title: Everything}}
channels:
  post: {{kind: smtp, url: "smtp://127.0.0.1:{port}", from: News <news@example.org>}}
subscriptions: {{}}
"""


@dataclass
class Api:
    """The API as a program uses it."""

    app: App
    url: str
    mail: MailServer
    clock: Clock
    woken: list[bool] = field(default_factory=list)
    """One for each time that the service was told that there is something to do."""
    tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    def token(self, scopes: Collection[str] = tuple(SCOPES)) -> str:
        """A token with these scopes, made when it is asked for first."""
        key = tuple(sorted(scopes))
        if key not in self.tokens:
            self.tokens[key] = self.app.access.grant(f"bot {len(self.tokens)}", key)
        return self.tokens[key]

    def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any) -> Any:
        """One request; ``body`` travels as JSON, or as it is where it is bytes."""
        headers = {"Authorization": f"Bearer {token or self.token()}"} | more.pop("headers", {})
        if isinstance(body, bytes):
            more["data"], headers = body, {"Content-Type": "application/json"} | headers
        elif body is not None:
            more["json"] = body
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=30, **more)

    def get(self, path: str, **query: Any) -> Any:
        """What is there, as JSON."""
        answer = self.ask("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def push(self, *ids: str, source: str = "newsroom", **more: Any) -> Any:
        """Push entries; returns arrived, edited, unchanged."""
        entries = [{"id": id, "title": f"Title of {id}"} | more for id in ids]
        answer = self.ask("POST", f"/sources/{source}/entries", {"entries": entries})
        assert answer.status_code == 200, answer.text
        return tuple(answer.json().values())

    def enrol(self, address: str, *publications: str, **more: Any) -> Any:
        """Let somebody subscribe at once; returns them."""
        told = {"address": address, "publications": publications or ("weekly",), "consent": "By telephone."} | more
        answer = self.ask("POST", "/subscribers", told)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pages(self, path: str, limit: int, between: Callable[[], Any] = lambda: None, **query: Any) -> list[Any]:
        """All items, page by page; the link in the header is followed."""
        found, url, params = [], f"{self.url}{path}", {"limit": limit} | query
        while url:
            answer = requests.get(url, params, headers={"Authorization": f"Bearer {self.token()}"}, timeout=30)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert len(page["items"]) <= limit
            assert ("next" in answer.links) == (page["next"] is not None)
            found += page["items"]
            between()
            url, params = answer.links.get("next", {}).get("url", ""), {}
            url = url and self.url.removesuffix("/api/v1") + url
        return found

    def work(self) -> list[str]:
        """All that is due; returns what was done."""
        reports = self.app.once(lambda _: None, lambda *_: None)
        assert all(report.well for report in reports), [report.words for report in reports]
        return [report.work.run for report in reports]
