"""Entries that say little, or say it badly."""

from datetime import UTC, datetime

from renderer_samples import entry

from publisher.model import Author, Enclosure

ENTRIES = (
    entry(3, content="<p>No fishing off the east pier until Thursday: the crane is being moved, and it is slow.</p>"),
    entry(
        2,
        title='AT&T <script>alert("1")</script>\r\nBcc: all ]]> \x00\x07{{ 7 * 7 }}',
        link="javascript:alert(1)",
        authors=(Author(email="someone@example.org"), Author(url="https://bo.example.org")),
        tags=("\x01", " a  b "),
        image="data:image/png;base64,AAAA",
        enclosures=(Enclosure(url="https://media.example.org/ü 100%.bin", media_type="?"),),
        published=datetime(2031, 1, 1, tzinfo=UTC),
        updated=datetime(1999, 1, 1, tzinfo=UTC),
        language="not a language",
    ),
    entry(1),
)
