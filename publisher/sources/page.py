"""Web pages that have no feed: the articles that a page lists become items, and those that a sitemap tells of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import chain
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field

from publisher.charset import decoded
from publisher.confine import confined
from publisher.errors import Held, PublisherError, SourceError
from publisher.model import Cursor, Harvest, Item
from publisher.net import Answer, Net
from publisher.options import WebAddress
from publisher.sources import Trial, _listing, _sitemap
from publisher.sources._fulltext import FullText, with_texts
from publisher.sources._listing import Selectors
from publisher.sources._manners import freshness
from publisher.sources._robots import polite
from publisher.sources._stand_in import led_astray
from publisher.sources._visit import visit

_CPU = timedelta(seconds=4)
"""A page of a megabyte takes less than a second; nested elements cost an HTML parser their number squared."""
_MOST_PAGES = 5
_SEVERAL = 3
"""Where fewer were listed, all of them may well be gone."""
_NAME_PAGE = "name the page that lists the news"
_FEED_TYPES = ("application/rss+xml", "application/atom+xml", "application/feed+json")
_PAGE_TYPES = (
    "",
    "text/html",
    "application/xhtml+xml",
    "application/xml",
    "text/xml",
    "text/plain",
    "application/gzip",
    "application/x-gzip",
    "application/octet-stream",
)


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page that lists articles: the news of a town, the archive of a paper; or a sitemap of news."""

    kind: ClassVar[str] = "page"

    url: Annotated[
        WebAddress,
        Field(description="The page, or a sitemap of news.", examples=["https://council.example.org/news"]),
    ]
    select: Annotated[
        Selectors | None,
        Field(
            description="What an item of the list is, and its parts; found by itself when left out.",
            examples=[{"item": "article.news", "title": "h2", "link": "h2 a@href", "date": "time@datetime"}],
        ),
    ] = None
    full_text: FullText = False

    def fetch(self, cursor: Cursor | None, net: Net) -> Harvest:
        """Visit the page.

        Where nothing on it was there at the last visit, as at the first one, the pages with the older articles are read
        too, five in all at most.  The cursor is that of ``visit`` and of ``with_texts``, ``links`` (digests of those on
        the first page), ``shape`` (of its list) and ``ends`` (not empty where the page was seen to say where it ends).

        Of a page that breaks off before its end, as when its maker died over it, the last item is not taken, for it may
        be the half of one, and no validators are kept.

        Raises:
            NetError: no answer to work with.
            Held: all that is listed is new, and stands elsewhere on the page: it may not be the list any more.
            SourceError: the answer is no page, lists nothing, or stands in for the page.
        """
        known, net = cursor or {}, polite(net)
        visited = visit(self.url, known, net)
        if isinstance(visited, Harvest):
            return visited
        first = self._listed(visited.answer)
        self._refuse_other_shape(first, known)
        notes: list[str] = []
        is_whole = not (known.get("ends") and _breaks_off(visited.answer))
        if not is_whole:
            notes.append(f"{first.url} breaks off: the last article that is left of it was not taken")
            first = first._replace(items=first.items[:-1])
        pages = [first, *self._maps(first, net, notes), *self._older(first, known, net, notes)]
        items: dict[str, Item] = {}
        for item in chain.from_iterable(page.items for page in pages):
            items.setdefault(item.link, item)
        if not items and not is_whole:
            raise SourceError(f"{first.url} breaks off", hint="it is read again at the next visit")
        if not items:
            raise SourceError(f"{first.url}: none of its sitemaps tells of news: {'; '.join(notes)}", hint=_NAME_PAGE)
        harvest = Harvest(
            items=tuple(items.values()),
            cursor={
                **visited.cursor,
                "links": first.marks,
                "shape": first.shape,
                "ends": known.get("ends") or ("1" if _ends(visited.answer) else ""),
                **({} if is_whole and not first.maps else _FORGOTTEN),
            },
            title=first.title,
            link=first.url,
            notes=tuple(notes),
            certificate=visited.answer.certificate,
            hints=freshness(visited.answer),
        )
        return with_texts(harvest, known, net, first.url) if self.full_text else harvest

    def explain(self, net: Net) -> Trial:
        """What the first page brings, and from which of its elements.

        Raises:
            NetError: no answer to work with.
            SourceError: the answer is no page, or lists nothing.
        """
        answer = polite(net).get(self.url)
        page = self._listed(answer)
        if page.maps:
            harvest = self.fetch(None, net)
            return Trial(items=harvest.items, way=page.way, notes=harvest.notes)
        items = [_fields(item) for item in page.items]
        found = confined(f"{__name__}:read_elements", answer.body, answer.charset, answer.url, items, cpu=2 * _CPU)
        return Trial(items=page.items, way=page.way, elements=tuple(found["elements"]), select=found["select"])

    def _listed(self, answer: Answer) -> _Listed:
        _refuse_other_types(answer)
        if found := led_astray(self.url, answer.url):
            raise SourceError(f"{answer.url}: this looks like {found.what}", hint=found.hint)
        select = self.select.given() if self.select else None
        found = confined(f"{__name__}:read", answer.body, answer.charset, answer.url, select, cpu=_CPU)
        return _Listed(**found | {"url": answer.url, "items": tuple(map(_item, found["items"]))})

    def _refuse_other_shape(self, first: _Listed, known: Cursor) -> None:
        """Let the operator look first where nothing that was known is listed, and the list is another one.

        A redesign that keeps some of the links is none of ours; new links where the old ones stood are a busy week.
        """
        before = known.get("links", "").split()
        moved = first.shape and known.get("shape") and first.shape != known["shape"]
        if moved and len(before) >= _SEVERAL and first.is_new(before):
            raise Held(f"{first.url}: the page looks different, and lists nothing that it listed before")

    def _opened(self, url: str, first: _Listed, net: Net, notes: list[str]) -> _Listed | None:
        """What another page lists that the first one leads to; None where it cannot be read, which is noted."""
        try:
            return self._listed(net.onward(url, first.url).get(url))
        except PublisherError as error:
            notes.append(str(error))
            return None

    def _maps(self, first: _Listed, net: Net, notes: list[str]) -> Iterator[_Listed]:
        """The sitemaps that an index names."""
        return filter(None, (self._opened(url, first, net, notes) for url in first.maps))

    def _older(self, first: _Listed, known: Cursor, net: Net, notes: list[str]) -> Iterator[_Listed]:
        """The pages after the first, as long as all that is listed is new."""
        before, page, seen = known.get("links", "").split(), first, {first.url}
        while page.older not in {"", *seen} and len(seen) < _MOST_PAGES and page.is_new(before):
            seen.add(page.older)
            following = self._opened(page.older, first, net, notes)
            if following is None:
                return
            yield (page := following)


KIND = Page

_FORGOTTEN = {"etag": "", "modified": "", "digest": ""}
"""What the cursor does not keep of an index of sitemaps, which looks the same when they have changed, or of a part."""


class _Listed(NamedTuple):
    """What a page lists: a ``Listing``, and where it was found."""

    url: str
    title: str
    items: tuple[Item, ...]
    way: str
    older: str
    maps: Sequence[str]
    shape: str

    @property
    def marks(self) -> str:
        """Digests of its links."""
        return " ".join(map(_mark, self.items))

    def is_new(self, before: Sequence[str]) -> bool:
        """Whether it lists none of those links."""
        return set(before).isdisjoint(map(_mark, self.items))


def read(body: bytes, charset: str, url: str, select: Mapping[str, str] | None) -> dict[str, Any]:
    """What a page or sitemap lists, as JSON can say it; runs in a process of its own.

    Args:
        body: the document.
        charset: what HTTP says it is written in; may be empty.
        url: where it was found.
        select: selectors by name; None to find the list.

    Raises:
        SourceError: it lists nothing.
    """
    text = decoded(_sitemap.unpacked(body, url), charset)
    if _sitemap.is_sitemap(text):
        listing = _sitemap.find(text, url)
    else:
        listing = _listing.find(text, url, Selectors(**select) if select else None)
    return {
        "title": listing.title,
        "items": [_fields(item) for item in listing.items],
        "way": listing.way,
        "older": listing.older,
        "maps": listing.maps,
        "shape": listing.shape,
    }


def read_elements(body: bytes, charset: str, url: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where the items of a page stand on it, as JSON can say it; runs in a process of its own."""
    from publisher.sources._provenance import provenance

    text = decoded(_sitemap.unpacked(body, url), charset)
    if _sitemap.is_sitemap(text):
        return {"elements": [dict(_sitemap.ELEMENTS) for _ in items], "select": {}}
    return provenance(text, url, [_item(fields) for fields in items])._asdict()


def _mark(item: Item) -> str:
    """A digest of its link."""
    return sha256(item.link.encode(errors="replace")).hexdigest()[:8]


def _refuse_other_types(answer: Answer) -> None:
    if answer.media_type in _FEED_TYPES:
        raise SourceError(f"{answer.url}: this is a feed, not a page", hint="write `kind: feed`")
    if answer.media_type not in _PAGE_TYPES:
        raise SourceError(f"{answer.url}: {answer.media_type} is not a web page", hint=_NAME_PAGE)


def _ends(answer: Answer) -> bool:
    """Whether an HTML page says where it ends."""
    return b"</html" in answer.body.lower()


def _breaks_off(answer: Answer) -> bool:
    """Whether it does not, although it is one."""
    return b"<html" in answer.body.lower() and not _ends(answer)


def _fields(item: Item) -> dict[str, Any]:
    return {
        "link": item.link,
        "title": item.title,
        "summary": item.summary,
        "image": item.image,
        "tags": item.tags,
        "language": item.language,
        "published": item.published.isoformat() if item.published else "",
        "updated": item.updated.isoformat() if item.updated else "",
    }


def _item(fields: Mapping[str, Any]) -> Item:
    dates = {name: datetime.fromisoformat(fields[name]) if fields[name] else None for name in ("published", "updated")}
    return Item(**{**fields, **dates, "tags": tuple(fields["tags"])})
