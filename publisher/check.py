"""What the configuration points to: folders, templates, channels, a mailbox.  The file itself ``config`` judges."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from publisher.config import Settings
from publisher.errors import ChannelError, PublisherError
from publisher.net import Net
from publisher.templating import Templates

_SLOWER = "so each recipient's mail is rendered by itself, which takes longer"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    place: str
    """Dotted path of the option that points there."""
    message: str
    well: bool


def check(settings: Settings, templates: Templates) -> Iterator[Finding]:
    """Look at everything the configuration points to; writes nothing."""
    yield _writable("feeds", settings.feeds)
    if settings.templates and settings.templates.exists():
        yield from (_compiles(templates, "templates", name) for name in templates.names())
    for name, digest in settings.digests.items():
        for kind in ("html", "txt"):
            yield from _of_a_mail(templates, f"publications.{name}.digest.template", f"{digest.template}.{kind}.j2")
        yield from _of_a_subject(templates, f"publications.{name}.digest.subject", digest.subject)
        ways = [settings.channels[channel].options.personal for channel in settings.publications[name].deliver]
        reaches = settings.publications[name].recipients or settings.subscriptions
        if any(ways) and not reaches:
            yield Finding(f"publications.{name}.recipients", "nobody is named, so its issues reach no one", False)
    for name, source in settings.sources.items():
        path = getattr(source.options, "path", None)
        if isinstance(path, Path):
            yield Finding(f"sources.{name}.path", f"{path} is {'there' if path.exists() else 'missing'}", path.exists())
    for name, channel in settings.channels.items():
        body = getattr(channel.options, "body", None)
        if isinstance(body, Path):
            yield _try(f"channels.{name}.body", _file_compiles, templates, body)


def connect(settings: Settings, net: Net) -> Iterator[Finding]:
    """Ask each channel whether it would take a delivery now, and each mailbox whether it lets us in.

    Sends nothing, and changes nothing in the mailboxes.
    """
    for name, source in settings.sources.items():
        if probe := getattr(source.options, "check", None):
            yield _try(f"sources.{name}", probe, net.bound(timeout=source.timeout, private=source.private))
    for name, channel in settings.channels.items():
        yield _try(f"channels.{name}", channel.options.check, net)
    if inbox := settings.bounces.part("mailbox"):
        yield _try("bounces.mailbox", inbox.options.check)


def _file_compiles(templates: Templates, file: Path) -> str:
    try:
        templates.check_text(file.read_text())
    except OSError as error:
        raise ChannelError(f"{file}: cannot be read: {error.strerror}") from error
    return f"{file.name} compiles"


def _of_a_mail(templates: Templates, place: str, name: str) -> Iterator[Finding]:
    compiled = _compiles(templates, place, name)
    yield compiled
    if compiled.well and (line := templates.beyond_printing(name, "subscriber")):
        yield Finding(place, f"{line}: `subscriber` is not only printed, {_SLOWER}", True)


def _of_a_subject(templates: Templates, place: str, text: str) -> Iterator[Finding]:
    compiled = _try(place, templates.check_text, text)
    yield compiled
    if compiled.well and templates.mentions(text, "subscriber"):
        yield Finding(place, f"`subscriber` is in the subject, {_SLOWER}", True)


def _compiles(templates: Templates, place: str, name: str) -> Finding:
    try:
        templates.check(name)
    except PublisherError as error:
        return Finding(place, error.words, False)
    return Finding(place, f"{name} compiles", True)


def _try(place: str, probe: Callable[..., object], *args: object) -> Finding:
    try:
        return Finding(place, str(probe(*args) or "compiles"), True)
    except PublisherError as error:
        return Finding(place, error.words, False)


def _writable(place: str, folder: Path) -> Finding:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    well = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return Finding(place, f"{folder} {'can' if well else 'cannot'} be written", well)
