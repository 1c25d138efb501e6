"""Pictures of entries, handed on by the house."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from outside import Response, WebSite

from publisher.images import Images, kind_of
from publisher.model import Entry, Publication, Site
from publisher.net import Net
from publisher.renderers._complete import complete

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
SITE = "https://news.example.org"
NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Callable[..., Images]]:
    nets: list[Net] = []

    def made(*, private: bool = True, secret: str = "s", room: int = 1_000_000) -> Images:
        nets.append(Net(private=private))
        return Images(site=SITE, secret=secret, folder=tmp_path / "images", net=nets[-1], room=room)

    yield made
    for net in nets:
        net.close()


def parts(address: str) -> tuple[str, str]:
    proof, name = address.removeprefix(f"{SITE}/image/").split("/")
    return proof, name


def test_an_address_leads_to_the_picture_and_only_the_first_look_to_its_site(
    images: Callable[..., Images], web_site: WebSite
) -> None:
    web_site.pages["/a.png?x=ü&y"] = Response(PNG, headers={"Content-Type": "text/html"})
    web_site.pages["/a.png?x=%C3%BC&y"] = web_site.pages["/a.png?x=ü&y"]
    house = images()
    address = house.address(f"{web_site.url}/a.png?x=%C3%BC&y")
    for _ in range(3):
        picture = house.picture(*parts(address))
        assert picture is not None
        assert (picture.media_type, picture.body) == ("image/png", PNG)
    assert len(web_site.hits) == 1
    assert images().picture(*parts(address)) == picture


def test_nobody_has_other_things_fetched(images: Callable[..., Images], web_site: WebSite) -> None:
    web_site.pages["/a.png"] = web_site.pages["/b.png"] = Response(PNG)
    house = images()
    (proof, _), (_, other) = (parts(house.address(f"{web_site.url}/{name}.png")) for name in "ab")
    assert house.picture(proof, other) is None
    assert house.picture(*parts(images(secret="t").address(f"{web_site.url}/a.png"))) is None
    for nonsense in ("", "x", "%%%", "ü", "/wA"):
        assert house.picture(proof, nonsense) is None
        assert house.picture(nonsense, other) is None
    assert web_site.hits == []


@pytest.mark.parametrize(
    "answer",
    [
        Response(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        Response(b"<html>"),
        Response(b""),
        Response(PNG, status=404),
        Response(PNG * 200_000),
    ],
)
def test_what_is_no_picture_or_too_large_is_not_handed_on_and_not_asked_for_again_at_once(
    images: Callable[..., Images], web_site: WebSite, answer: Response
) -> None:
    web_site.pages["/a"] = answer
    house = images()
    address = parts(house.address(f"{web_site.url}/a"))
    assert house.picture(*address) is house.picture(*address) is None
    assert len(web_site.hits) == 1


def test_a_private_address_is_not_looked_at(images: Callable[..., Images], web_site: WebSite) -> None:
    web_site.pages["/a.png"] = Response(PNG)
    house = images(private=False)
    assert house.picture(*parts(house.address(f"{web_site.url}/a.png"))) is None
    assert web_site.hits == []


def test_the_oldest_goes_when_there_is_no_room(
    images: Callable[..., Images], web_site: WebSite, tmp_path: Path
) -> None:
    house = images(room=3 * len(PNG))
    for number in range(6):
        web_site.pages[f"/{number}"] = Response(PNG)
        assert house.picture(*parts(house.address(f"{web_site.url}/{number}")))
    assert sum(file.stat().st_size for file in (tmp_path / "images").iterdir()) <= 3 * len(PNG)


def test_all_pictures_of_an_entry_come_from_us_and_nothing_else_of_it_changes(images: Callable[..., Images]) -> None:
    house = images()
    content = (
        '<p>A "&gt;" <a href="https://a.example/x.png">link</a></p>'
        '<img src="https://a.example/1.png?a=1&amp;b=2" srcset="https://a.example/2.png 2x" alt="a > b">'
        '<img alt="" src="https://a.example/3.png" width="20">'
    )
    entry = Entry(
        number=1, uid="u", source="s", arrived=NOW, changed=NOW, content=content, image="https://a.example/4.png"
    )
    publication = Publication(name="p", title="P", site=Site(title="S", url=SITE))
    shown = complete(entry, publication, house.address)
    first, third = house.address("https://a.example/1.png?a=1&b=2"), house.address("https://a.example/3.png")
    assert shown.content == (
        '<p>A "&gt;" <a href="https://a.example/x.png">link</a></p>'
        f'<img src="{first}" alt="a > b"><img alt="" src="{third}" width="20">'
    )
    assert shown.image == house.address("https://a.example/4.png")
    assert complete(shown, publication, house.address).content == shown.content
    assert house.address("") == ""


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"\x00\x00\x00\x20ftypavif", "image/avif"),
        (b"RIFF\x00\x00\x00\x00WAVE", ""),
        (b"<svg/>", ""),
        (b"", ""),
    ],
)
def test_a_picture_is_what_its_first_bytes_say(body: bytes, kind: str) -> None:
    assert kind_of(body) == kind
