"""The rules of a publication: which entries are in it, and how; decided from the entry alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any

from publisher import html
from publisher.config import RuleSettings
from publisher.errors import RenderError
from publisher.model import Entry
from publisher.templating import Templates

_TITLE = 500
_TAG = 100
"""Characters; as much is shown of either."""
_TROUBLE = 300


class Seen:
    """An entry as conditions and templates of rules see it: all that ``Entry`` has, without gaps in its dates.

    ``text`` is what can be read of it: its content, or its summary where there is no more, without markup.
    """

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    @property
    def text(self) -> str:
        """Plain text."""
        return html.plain(self._entry.content or self._entry.summary)

    @property
    def published(self) -> datetime:
        """Never empty, and never later than it arrived; as in templates of mails."""
        return self._entry.moment

    @property
    def updated(self) -> datetime:
        """Never empty."""
        return self._entry.updated or self._entry.changed


KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"entry": (*(field.name for field in fields(Entry)), "moment", "text")}
)
"""The names that a rule knows, and the attributes of each."""


class Rules:
    """The rules of one publication, to be done to one entry after the other.

    A rule that cannot be told, because a condition or a template fails on what is in an entry, leaves that entry as it
    is; ``trouble`` says so.
    """

    def __init__(self, rules: Sequence[RuleSettings], templates: Templates) -> None:
        self._rules = rules
        self._templates = templates
        self._told: dict[int, str] = {}
        self._failed: dict[int, set[int]] = {}

    def apply(self, entry: Entry) -> Entry | None:
        """The entry as it is in the publication; None where it is not in it."""
        return self._done(entry, self._rules)

    def dress(self, entry: Entry) -> Entry:
        """The entry as it is in the publication, where it is known to be in it: an issue told it."""
        return self._done(entry, [rule for rule in self._rules if rule.drop is None and rule.keep is None]) or entry

    @property
    def trouble(self) -> str:
        """Which rules failed, each with the first entry that it failed on; empty where none did."""
        return "; ".join(
            f"rule {number} failed on {_entries(len(self._failed[number]))}: {words}"
            for number, words in sorted(self._told.items())
        )[:_TROUBLE]

    def _done(self, entry: Entry, rules: Sequence[RuleSettings]) -> Entry | None:
        kept = all(rule.keep is None for rule in rules)
        for number, rule in enumerate(rules, 1):
            try:
                if rule.drop is not None:
                    if self._holds(rule.drop, entry):
                        return None
                elif rule.keep is not None:
                    kept = kept or self._holds(rule.keep, entry)
                elif rule.when is None or self._holds(rule.when, entry):
                    entry = self._changed(rule, entry)
            except RenderError as error:
                kept = kept or rule.keep is not None  # what cannot be told takes no entry away
                self._told.setdefault(number, f"{error} (entry {entry.number}, {entry.title[:60]!r})")
                self._failed.setdefault(number, set()).add(entry.number)
        return entry if kept else None

    def _changed(self, rule: RuleSettings, entry: Entry) -> Entry:
        if rule.tag is not None:
            return _tagged(entry, self._worded(rule.tag, entry, _TAG))
        if rule.retitle is not None:
            return replace(entry, title=self._worded(rule.retitle, entry, _TITLE) or entry.title)
        if rule.section is not None:
            return replace(entry, section=rule.section)
        return replace(entry, pinned=entry.pinned or self._holds(rule.pin or "", entry))

    def _holds(self, condition: str, entry: Entry) -> bool:
        return self._templates.holds(condition, entry=Seen(entry))

    def _worded(self, wording: str, entry: Entry, limit: int) -> str:
        line = " ".join(self._templates.render_text(wording, entry=Seen(entry)).split())
        return line if len(line) <= limit else line[: limit - 1] + "…"


def _entries(count: int) -> str:
    return f"{count} entries" if count > 1 else "an entry"


def _tagged(entry: Entry, tag: str) -> Entry:
    """With that tag, unless it has it already, however it is written."""
    has = not tag or tag.casefold() in (known.casefold() for known in entry.tags)
    return entry if has else replace(entry, tags=(*entry.tags, tag))


def judges() -> Mapping[str, Callable[[str], None]]:
    """Who judges what an operator writes into a rule: ``config.load`` asks them."""
    return {"condition": lambda text: _judge(_checks().check_condition, text), "wording": _judge_wording}


def _judge_wording(text: str) -> None:
    if not text.strip():
        raise ValueError("is empty")
    _judge(_checks().check_wording, text)


def _judge(check: Callable[[str, Mapping[str, Sequence[str]]], None], text: str) -> None:
    try:
        check(text, KNOWN)
    except RenderError as error:
        raise ValueError(error.words) from error


@cache
def _checks() -> Templates:
    """Conditions use no template, so that the built-in ones do."""
    return Templates()
