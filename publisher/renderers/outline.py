"""All feeds of the house in one file, for feed readers to take them over: OPML 2.0 (http://opml.org/spec2.opml)."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from publisher.model import Document, Publication, Site
from publisher.renderers._complete import legal

_FEEDS = {"atom": "atom.xml", "rss": "rss.xml", "json": "feed.json"}
"""The files of the formats; of several the first is told, for nobody wants to read everything twice."""


def outline(site: Site, publications: Iterable[Publication]) -> Document:
    """``feeds.opml``: one feed of each publication that has any."""
    root = ET.Element("opml", version="2.0")
    ET.SubElement(ET.SubElement(root, "head"), "title").text = legal(site.title)
    body = ET.SubElement(root, "body")
    for publication in publications:
        for file in [file for kind, file in _FEEDS.items() if kind in publication.formats][:1]:
            ET.SubElement(body, "outline", _feed(publication, file))
    ET.indent(root)
    text = ET.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"
    return Document(name="feeds.opml", media_type="text/x-opml", body=text)


def _feed(publication: Publication, file: str) -> dict[str, str]:
    told = {
        "type": "rss",  # whatever its format: the specification knows no other
        "text": publication.title,
        "title": publication.title,
        "description": publication.description,
        "language": publication.language,
        "xmlUrl": publication.address(file),
        "htmlUrl": publication.address() if "html" in publication.formats else "",
    }
    return {name: legal(value) for name, value in told.items() if value}
