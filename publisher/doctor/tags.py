"""Tag lists, ``v=DKIM1; k=rsa; p=…``: how the records of DKIM and DMARC are written (RFC 6376 section 3.2)."""

from __future__ import annotations

import re

from publisher.doctor.remarks import shown

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


def parse(text: str) -> dict[str, str]:
    """The tags in their order; blanks around names and values are gone.

    Raises:
        ValueError: it is no tag list; the message says what is wrong with it.
    """
    tags: dict[str, str] = {}
    for piece in text.strip().removesuffix(";").split(";"):
        name, equals, value = (part.strip() for part in piece.partition("="))
        if not equals or not _NAME.fullmatch(name):
            raise ValueError(f"{shown(piece.strip(), 40)} is not of the form tag=value")
        if name in tags:
            raise ValueError(f"the tag {name}= is there twice")
        tags[name] = value
    return tags
