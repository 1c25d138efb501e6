"""A folder of Markdown and HTML files, with front matter in YAML or TOML."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import parseaddr
from html import escape
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import AfterValidator, Field

from publisher.errors import SourceError
from publisher.html import plain
from publisher.model import Author, Cursor, Harvest, Item
from publisher.net import Net
from publisher.options import LocalPath
from publisher.sources._dates import read_date

_MOST = 10_000
"""Files of one visit."""
_LARGEST = 2_000_000
"""Bytes of a file."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)^\1[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_BODY = re.compile(r"<body\b[^>]*>(.*?)(?:</body>|\Z)", re.DOTALL | re.IGNORECASE)
_HEADING = re.compile(r"\s*<h([1-6])\b[^>]*>(.*?)</h\1>", re.DOTALL | re.IGNORECASE)


def _glob(value: str) -> str:
    try:
        next(Path(os.devnull).glob(value), None)
    except (ValueError, NotImplementedError):
        raise ValueError(f"not a pattern: {value!r} (write **/*.md, or posts/*.html)") from None
    return value


_Glob = Annotated[str, AfterValidator(_glob)]


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Files on this machine: each one an entry."""

    kind: ClassVar[str] = "folder"
    awaited: ClassVar[bool] = False

    path: Annotated[LocalPath, Field(description="The folder.", examples=["content/notes"])]
    pattern: Annotated[
        _Glob | tuple[_Glob, ...],
        Field(
            description="Which of its files: one pattern or several; ** stands for any folders.",
            examples=["**/*.md", ["posts/*.md", "notes/*.html"]],
        ),
    ] = ("**/*.md", "**/*.html")

    def fetch(self, cursor: Cursor | None, net: Net) -> Harvest:
        """Read the files.

        Hidden files, links that leave the folder and drafts are passed over; a file that cannot be read is left out,
        with a note, and harms no other.  The cursor holds ``digest`` (of names, times and sizes) and ``files`` (their
        number).

        Raises:
            SourceError: there is no such folder, or nothing in it where there was something.
        """
        known = cursor or {}
        files = self._files()
        if not files and known.get("files", "0") != "0":
            raise SourceError(
                f"{self.path}: no file is there any more, where there were {known['files']}",
                hint="if they are meant to be gone, remove the source",
            )
        cursor = {"digest": _digest(files), "files": str(len(files))}
        if cursor == known:
            return Harvest(unchanged=True, cursor=cursor)
        return _harvest(files, cursor)

    def _files(self) -> list[_File]:
        """What matches.  The last name comes first, for where names begin with a date that is the newest."""
        patterns = (self.pattern,) if isinstance(self.pattern, str) else self.pattern
        try:
            root = self.path.resolve(strict=True)
            next(root.iterdir(), None)  # a glob finds nothing, and says nothing, where it may not look
            found = {path for pattern in patterns for path in root.glob(pattern)}
            return [file for path in sorted(found, reverse=True) if (file := _file(path, root))]
        except OSError as error:
            raise SourceError(
                f"{self.path}: cannot be read: {error.strerror}", hint="a relative path begins where config.yaml is"
            ) from error


# --- files -----------------------------------------------------------------------------------------------------------


class _File(NamedTuple):
    path: Path
    name: str
    """Relative to the folder, with slashes."""
    changed: int
    """Nanoseconds."""
    size: int


class _BrokenError(Exception):
    """A file cannot be read; the message goes on after its name."""


def _file(path: Path, root: Path) -> _File | None:
    """The file, if it is one, not hidden, and inside the folder whatever links lead to it."""
    name = path.relative_to(root)
    if any(part.startswith(".") for part in name.parts) or not path.is_file():
        return None
    if not path.resolve().is_relative_to(root):
        return None
    stat = path.stat()
    return _File(path, name.as_posix(), stat.st_mtime_ns, stat.st_size)


def _digest(files: list[_File]) -> str:
    return hashlib.sha256(repr([file[1:] for file in files]).encode(errors="surrogateescape")).hexdigest()


def _harvest(files: list[_File], cursor: Cursor) -> Harvest:
    items: list[Item] = []
    notes: list[str] = []
    for file in files[:_MOST]:
        try:
            items.extend(_items(file))
        except _BrokenError as error:
            notes.append(f"{file.name}: {error}")
    notes.sort()
    if len(files) > _MOST:
        notes.append(f"{len(files) - _MOST} of {len(files)} files were left out: one visit takes {_MOST}")
    items.sort(key=lambda item: item.published or _LONG_AGO, reverse=True)
    return Harvest(items=tuple(items), cursor=cursor, notes=tuple(notes))


def _items(file: _File) -> Iterator[Item]:
    """The item that a file holds; none when it is a draft."""
    text = _text(file)
    front, offset = _front_matter(text)
    if not _is_draft(front):
        read = _html if file.path.suffix.lower() in (".html", ".htm", ".xhtml") else _markdown
        yield _item(file, front, *read(text[offset:], _word(front, "title")))


def _text(file: _File) -> str:
    if file.size > _LARGEST:
        raise _BrokenError(f"more than {_LARGEST // 1_000_000} MB")
    try:
        body = file.path.read_bytes()
        return body.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise _BrokenError(f"line {line}: not UTF-8; save it in that encoding") from error
    except OSError as error:
        raise _BrokenError(error.strerror or "cannot be read") from error


# --- front matter ----------------------------------------------------------------------------------------------------


def _front_matter(text: str) -> tuple[dict[str, Any], int]:
    """Its keys in lower case, and where the text after it begins."""
    match = _FRONT.match(text)
    if not match:
        return {}, 0
    found = _yaml(match[2]) if match[1] == "---" else _toml(match[2])
    if not isinstance(found, dict | None):
        raise _BrokenError("line 2: the front matter must be made of lines such as title: My note")
    return {str(key).lower(): value for key, value in (found or {}).items() if value is not None}, match.end()


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise _BrokenError(f"line {line}: {error.problem}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise _BrokenError(f"the front matter cannot be read: {error}") from error


def _toml(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) + 1 if place else text.count("\n") + 1
        raise _BrokenError(f"line {line}: {re.sub(r' .at .*', '', str(error))}") from error


def _is_draft(front: Mapping[str, Any]) -> bool:
    """``draft: true``, and ``published: false`` as Jekyll has it."""
    return front.get("draft") is True or front.get("published") is False


def _item(file: _File, front: Mapping[str, Any], title: str, content: str) -> Item:
    return Item(
        guid=_word(front, "id", "guid") or file.name,
        link=_word(front, "link", "url"),
        title=title or re.sub(r"[-_]+", " ", file.path.stem),
        summary=escape(_word(front, "summary", "description"), quote=False),
        content=content,
        authors=tuple(_authors(front.get("authors", front.get("author")))),
        tags=tuple(_words(front.get("tags", front.get("categories")))),
        image=_word(front, "image"),
        published=_date(front, "date", "published"),
        updated=_date(front, "updated", "lastmod"),
        language=_word(front, "language", "lang"),
    )


def _word(front: Mapping[str, Any], *names: str) -> str:
    """The first of these keys that holds text or a number."""
    values = (front.get(name) for name in names)
    return next((str(value).strip() for value in values if isinstance(value, str | int | float)), "")


def _words(value: Any) -> Iterator[str]:
    """A list, or words with commas between them."""
    values = value if isinstance(value, list) else str(value or "").split(",")
    return (word for word in (str(each).strip() for each in values) if word)


def _authors(value: Any) -> Iterator[Author]:
    """A name, ``Name <address>``, or name, email and url as keys; or a list of them."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            author = Author(name=_word(each, "name"), email=_word(each, "email"), url=_word(each, "url"))
        else:
            author = _author(str(each or "").strip())
        if author.name or author.email:
            yield author


def _author(text: str) -> Author:
    name, email = parseaddr(text)
    return Author(name=name, email=email) if "@" in email else Author(name=text)


def _date(front: Mapping[str, Any], *names: str) -> datetime | None:
    """Aware; what has no zone is taken for UTC.

    The file's own times are not looked at: each copy of the folder has others.
    """
    for name in names:
        value = front.get(name)
        if value is not None:
            return _moment(value)
    return None


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    found = read_date(str(value))
    if not found:
        raise _BrokenError(f"not a date: {value!r} (write 2026-11-03, or 2026-11-03T08:00:00Z)")
    return found


# --- text ------------------------------------------------------------------------------------------------------------


def _markdown(text: str, title: str) -> tuple[str, str]:
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return _headed(reader.render(text), title)


def _html(text: str, title: str) -> tuple[str, str]:
    named, body = _TITLE.search(text), _BODY.search(text)
    return _headed(body[1] if body else text, title or (plain(named[1]) if named else ""))


def _headed(html: str, title: str) -> tuple[str, str]:
    """Title and content: a heading at the very beginning is the title where there is none, and is not said twice."""
    match = _HEADING.match(html)
    heading = plain(match[2]) if match else ""
    if match and title in ("", heading):
        return heading, html[match.end() :].lstrip()
    return title, html


KIND = Folder
