"""Telling: readable lines on a terminal, one JSON object a line elsewhere.

structlog takes a tenth of a second to import; it is imported by whoever has something to tell.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal


def set_up(level: str = "info", form: Literal["auto", "text", "json"] = "auto") -> None:
    """Send all log lines, those of libraries too, to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``; libraries speak from ``warning`` on.
        form: ``auto`` is text on a terminal and JSON elsewhere.
    """
    import structlog

    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S" if as_text else "iso", utc=not as_text)
    shared: list[Any] = [structlog.stdlib.add_log_level, stamp]
    shared.append(_harmless if as_text else structlog.processors.format_exc_info)
    last: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if as_text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=last, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("publisher").setLevel(level.upper())


def _harmless(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """What a source says must not steer the operator's terminal."""
    return {key: _printable(value) if isinstance(value, str) else value for key, value in event.items()}


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def logger() -> Any:
    """The one logger of the house; keyword arguments become fields."""
    import structlog

    return structlog.get_logger("publisher")
