"""What is made of entries: feeds, pages, digests."""

from __future__ import annotations

from typing import Protocol, TypeVar

from publisher.model import Document, Issue, Selection

Subject = TypeVar("Subject", Selection, Issue, contravariant=True)


class Renderer(Protocol[Subject]):
    """Makes documents; the same subject gives the same bytes, on any machine and at any time."""

    def render(self, subject: Subject) -> tuple[Document, ...]:
        """Render.

        Raises:
            RenderError: it cannot be made; the message names the template and line where there is one.
        """
        ...
