"""Entries that say all that an entry can say."""

from datetime import UTC, datetime

from renderer_samples import entry

from publisher.model import Author, Enclosure

ENTRIES = (
    entry(
        3,
        title="The new ferry makes its first crossing",
        link="https://blog.example.org/ferry?a=1&b=2",
        summary="<p>At six in the morning the <em>Santa Rita</em> left the quay.</p>",
        content="<p>At six in the morning the <em>Santa Rita</em> left the quay.</p>" + "<p>It was foggy.</p>" * 100,
        authors=(Author(name="Ana Sousa", url="https://ana.example.org/"), Author(name="Bo", email="bo@example.org")),
        tags=("ferry", "port & quay", "ferry"),
        image="https://img.example.org/ferry.jpg?w=600&h=400",
        enclosures=(
            Enclosure(url="https://media.example.org/band.mp3", media_type="audio/mpeg", length=4_321_000),
            Enclosure(url="https://media.example.org/the map.pdf", media_type="application/pdf"),
        ),
        published=datetime(2026, 11, 2, 6, 0, 0, 250, tzinfo=UTC),
        updated=datetime(2026, 11, 2, 9, 30, tzinfo=UTC),
        language="en-GB",
    ),
    entry(
        2,
        source="council",
        title="Câmara vota o mercado do peixe",
        link="https://council.example.org/1",
        summary="<p>Onze contra nove.</p>",
        content=(
            '<p>Onze contra nove. Ver <a href="https://council.example.org/acta">a acta</a>.</p>'
            "<blockquote><p>«Esperámos demais.»</p></blockquote><ul><li>Contrato</li><li>Telhado</li></ul>"
        ),
        authors=(Author(name="Câmara"),),
        published=datetime(2026, 11, 1, 23, 30, tzinfo=UTC),
        language="pt",
    ),
    entry(
        1,
        title="Low water",
        link="https://blog.example.org/low-water",
        summary="At 14:20.",
        published=datetime(2026, 11, 1, 8, 0, tzinfo=UTC),
    ),
)
