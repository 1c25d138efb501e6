"""Templates: the operator's folder first, then the built-in ones; always in a sandbox.

What comes from outside is data here and never compiled: it reaches a template only as a value.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

import publisher
from publisher import html
from publisher.errors import RenderError

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from jinja2.sandbox import SandboxedEnvironment

Made = TypeVar("Made")

_LARGEST = 10_000_000
_BUILT_IN = "built-in"
_RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "ku-arab", "ps", "sd", "ug", "ur", "yi"})


class Templates:
    """Renders templates by name, or those that the configuration gives as text (a subject, a webhook's body).

    A name that ends in ``.html`` or ``.html.j2`` is escaped automatically, any other is not.  An operator's template
    may extend the one that it replaces as ``built-in/digest.html.j2``.

    Args:
        folder: the operator's own templates, searched first.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._environment = _environment(folder)

    def render(self, name: str, /, **context: object) -> str:
        """Render a template by its name.

        Raises:
            RenderError: it is missing or wrong; the message begins with ``digest.html.j2:12:``.
        """
        return self._run(name, lambda: self._environment.get_template(name), context)

    def render_text(self, text: str, /, **context: object) -> str:
        """Render a template that is given as text, without escaping.

        Raises:
            RenderError: it is wrong; the message begins with ``template:1:``.
        """
        return self._run("template", lambda: self._environment.from_string(text), context)

    def check(self, name: str) -> None:
        """Compile a template, without rendering it.

        Raises:
            RenderError: it is missing or wrong; the message names it and the line.
        """
        _attempt(name, lambda: self._environment.get_template(name))

    def check_text(self, text: str) -> None:
        """Compile a template that is given as text.

        Raises:
            RenderError: it is wrong; the message names the line.
        """
        _attempt("template", lambda: self._environment.from_string(text))

    def names(self) -> list[str]:
        """The names of all templates, the operator's and the built-in ones, sorted."""
        return [name for name in self._all() if not name.startswith(f"{_BUILT_IN}/")]

    def fingerprint(self) -> str:
        """A mark of all templates' texts, for those who must render anew when one of them was edited."""
        texts = [(name, self._text(name)) for name in self._all()]
        return hashlib.sha256(repr(texts).encode()).hexdigest()

    def _all(self) -> list[str]:
        return self._environment.list_templates(extensions=["j2"])

    def _text(self, name: str) -> str:
        """The text of a template or, where it cannot be read, why: that is for whoever renders it to stumble over."""
        loader = self._environment.loader
        try:
            return loader.get_source(self._environment, name)[0] if loader else ""
        except (OSError, UnicodeDecodeError) as error:
            return repr(error)

    def _run(self, name: str, load: Callable[[], Template], context: dict[str, object]) -> str:
        return _attempt(name, lambda: _bounded(load(), context), known=context)


def _environment(folder: Path | None) -> SandboxedEnvironment:
    from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    class Yielding(FileSystemLoader):
        """Jinja2 looks for a template again when its file was edited, but not when one that goes before it appears."""

        def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
            text, file, is_current = super().get_source(environment, template)
            return text, file, lambda: is_current() and not (folder and (folder / template).exists())

    own = [FileSystemLoader(folder)] if folder else []
    built_in = PrefixLoader({_BUILT_IN: FileSystemLoader(_built_in())})
    environment = SandboxedEnvironment(
        loader=ChoiceLoader([*own, Yielding(_built_in()), built_in]),
        undefined=StrictUndefined,
        autoescape=_is_html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "date": _date,
        "direction": _direction,
        "excerpt": lambda text, limit=300: html.excerpt(str(text), limit),
        "plain": lambda text: html.plain(str(text)),
        "to_text": lambda text, width=72: html.to_text(str(text), width),
    }
    return environment


def _built_in() -> Path:
    """Inside the package when it was installed from a wheel, beside it in a checkout."""
    package = Path(publisher.__file__).parent
    shipped = package / "templates"
    return shipped if shipped.is_dir() else package.parent / "templates"


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith((".html", ".html.j2"))


def _date(moment: datetime, zone: str = "UTC", pattern: str = "") -> str:
    """``3 November 2026``, or what a strftime pattern asks for."""
    local = moment.astimezone(ZoneInfo(zone))
    return local.strftime(pattern) if pattern else f"{local.day} {local:%B %Y}"


def _direction(language: str) -> str:
    """What HTML's ``dir`` says of a language (BCP 47 tag)."""
    tag = language.lower().replace("_", "-")
    return "rtl" if tag in _RIGHT_TO_LEFT or tag.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


def _bounded(template: Template, context: dict[str, object]) -> str:
    """Render piece by piece, so that a runaway loop is stopped and not obeyed."""
    pieces, length = [], 0
    for piece in template.generate(**context):
        pieces.append(piece)
        length += len(piece)
        if length > _LARGEST:
            raise OverflowError(f"it writes more than {_LARGEST:,} characters")
    return "".join(pieces)


def _attempt(name: str, act: Callable[[], Made], known: Mapping[str, object] = MappingProxyType({})) -> Made:
    try:
        return act()
    except Exception as error:  # a template may raise anything that an expression can
        raise _translated(name, error, known) from error


def _translated(name: str, error: Exception, known: Mapping[str, object]) -> RenderError:
    from jinja2 import TemplateNotFound, UndefinedError

    if isinstance(error, TemplateNotFound):
        return RenderError(
            f"{_place(name, error)}: there is no template {error.name!r}",
            hint="It is looked for in the folder that `templates:` names, then among the built-in ones.",
        )
    hint = f"Known here: {', '.join(sorted(known))}." if isinstance(error, UndefinedError) else ""
    words = str(getattr(error, "message", None) or error) or type(error).__name__
    return RenderError(f"{_place(name, error)}: {words}", hint=hint)


def _place(name: str, error: Exception) -> str:
    """Where it happened, as far as the error tells: ``digest.html.j2:12``."""
    from jinja2 import TemplateSyntaxError

    if isinstance(error, TemplateSyntaxError):
        return f"{error.name or name}:{error.lineno}"
    # Jinja2 puts a frame for each template line into the traceback, and marks its globals.
    frames = [at for at in traceback.walk_tb(error.__traceback__) if "__jinja_exception__" in at[0].f_globals]
    if not frames:
        return name
    frame, line = frames[-1]
    file = Path(frame.f_code.co_filename).name
    return f"{name if file == '<template>' else file}:{line}"
