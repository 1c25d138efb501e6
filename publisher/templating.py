"""Templates: the operator's folder first, then the built-in ones; always in a sandbox.

What comes from outside is data here and never compiled: it reaches a template only as a value.
"""

from __future__ import annotations

import hashlib
import json
import re
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import publisher
from publisher import html
from publisher.errors import RenderError

if TYPE_CHECKING:
    from jinja2 import Environment, Template, nodes
    from jinja2.environment import TemplateExpression
    from jinja2.runtime import Context
    from jinja2.sandbox import SandboxedEnvironment

Made = TypeVar("Made")

_LARGEST = 10_000_000
_BUILT_IN = "built-in"
_RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "ku-arab", "ps", "sd", "ug", "ur", "yi"})


class Templates:
    """Renders templates by name, or those that the configuration gives as text (a subject, a webhook's body).

    A name that ends in ``.html`` or ``.html.j2`` is escaped automatically, any other is not.  An operator's template
    may extend the one that it replaces as ``built-in/digest.html.j2``.

    ``_("Leave {title}", title=...)`` says a sentence in the language of the page: its ``language`` (a BCP 47 tag),
    which whoever renders it hands in.  The sentences of a language are in ``words/de.json``, English to translation;
    what is not there stays English.

    Args:
        folder: the operator's own templates, searched first.
        picture: gives the address at which a picture is shown; None: where it is.
    """

    def __init__(self, folder: Path | None = None, picture: Callable[[str], str] | None = None) -> None:
        self.picture = picture
        self._environment = _environment(folder)
        # Conditions and texts stand in the configuration: they are few, and asked of each entry.
        self._condition = lru_cache(maxsize=512)(self._compiled)
        self._text_template = lru_cache(maxsize=512)(self._environment.from_string)

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
        return self._run("template", lambda: self._text_template(text), context)

    def holds(self, condition: str, /, **context: object) -> bool:
        """Whether a condition is true: an expression such as ``"sea" in entry.tags``.

        Raises:
            RenderError: it is wrong, or cannot be told.
        """
        return _attempt("condition", lambda: bool(self._condition(condition)(**context)), known=context)

    def check_condition(self, text: str, known: Mapping[str, Collection[str]]) -> None:
        """Compile a condition, and look whether it can be told from what there is.

        Args:
            known: the names there are, and of each the attributes.

        Raises:
            RenderError: it is no expression, or asks for what is not there; the hint says how it is written.
        """
        from jinja2 import nodes
        from jinja2.parser import Parser

        self._condition(text)  # what is no expression, and filters and tests that are not there
        tree = Parser(self._environment, text, state="variable").parse_expression()
        _check_names(nodes.Output([tree]), known)

    def check_wording(self, text: str, known: Mapping[str, Collection[str]]) -> None:
        """Compile a template that is given as text, prints what is known, and does nothing that could take long.

        Args:
            known: see ``check_condition``.

        Raises:
            RenderError: it is wrong, does more than print, or asks for what is not there.
        """
        from jinja2 import nodes

        tree = _judged(lambda: (self._environment.from_string(text), self._environment.parse(text))[1])
        if any(not isinstance(node, nodes.Output | nodes.If) for node in tree.find_all(nodes.Stmt)):
            raise RenderError("more than {{ … }} and {% if … %} is not possible here")
        _check_names(tree, known)

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

    def beyond_printing(self, name: str, variable: str) -> str:
        """Where a template does more with a variable than print attributes of it, as ``{{ subscriber.name }}`` does.

        It is read with all that it extends, includes and imports.  What cannot be seen without rendering (an include
        whose name is computed) counts as more.

        Returns:
            ``digest.html.j2:12``, or nothing.

        Raises:
            RenderError: it is missing or wrong; the message names it and the line.
        """
        uses = _attempt(name, lambda: list(_Reading(self._environment, variable).template(name)))
        beyond = [use.place for use in uses if not use.plain]
        return beyond[0] if beyond and any(use.own for use in uses) else ""

    def mentions(self, text: str, variable: str) -> bool:
        """Whether a template that is given as text may use a variable.

        Raises:
            RenderError: it is wrong; the message names the line.
        """
        uses = _attempt("template", lambda: list(_Reading(self._environment, variable).text(text)))
        return any(use.own for use in uses)

    def languages(self) -> tuple[str, ...]:
        """The languages that templates speak: English, and those that there are words in; BCP 47 tags, sorted."""
        words = (PurePath(name) for name in self._all() if name.startswith("words/") and name.endswith(".json"))
        return tuple(sorted({"en", *(file.stem for file in words)}))

    def names(self) -> list[str]:
        """The names of all templates, the operator's and the built-in ones, sorted."""
        return [name for name in self._all() if name.endswith(".j2") and not name.startswith(f"{_BUILT_IN}/")]

    def fingerprint(self) -> str:
        """A mark of all templates' texts, for those who must render anew when one of them was edited."""
        texts = [(name, self._text(name)) for name in self._all()]
        return hashlib.sha256(repr((texts, self.picture is None)).encode()).hexdigest()

    def _all(self) -> list[str]:
        return self._environment.list_templates(extensions=["j2", "json"])

    def _text(self, name: str) -> str:
        """The text of a template or, where it cannot be read, why: that is for whoever renders it to stumble over."""
        loader = self._environment.loader
        try:
            return loader.get_source(self._environment, name)[0] if loader else ""
        except (OSError, UnicodeDecodeError) as error:
            return repr(error)

    def _compiled(self, condition: str) -> TemplateExpression:
        return _judged(lambda: self._environment.compile_expression(condition, undefined_to_none=False), condition)

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

    class Measured(SandboxedEnvironment):
        """Multiplies nothing out of hand: one number too many, and it would be done before anybody could stop it."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
            if _size(operator, left, right) > _LARGEST:
                raise OverflowError(f"{operator} makes more than {_LARGEST:,} characters")
            return super().call_binop(context, operator, left, right)

    own = [FileSystemLoader(folder)] if folder else []
    built_in = PrefixLoader({_BUILT_IN: FileSystemLoader(_built_in())})
    environment = Measured(
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
    environment.globals["_"] = _saying()
    return environment


def _size(operator: str, left: Any, right: Any) -> int:
    """About how many bits a power has, or how many bits or characters a product."""
    if operator == "**":
        whole = isinstance(left, int) and isinstance(right, int)
        return left.bit_length() * max(right, 0) if whole else 0
    sizes = [len(value) if isinstance(value, str | bytes | list | tuple) else None for value in (left, right)]
    if isinstance(right, int) and sizes[0] is not None:
        return sizes[0] * right
    if isinstance(left, int) and sizes[1] is not None:
        return left * sizes[1]
    return 0


def _saying() -> Callable[..., str]:
    from jinja2 import pass_context
    from markupsafe import Markup

    @pass_context
    def say(context: Context, sentence: str, /, **values: object) -> str:
        said = _words(context.environment, str(context.get("language", "en"))).get(sentence, sentence)
        return (Markup(said) if context.eval_ctx.autoescape else said).format(**values)  # noqa: S704 - no user's words

    return say


def _words(environment: Environment, language: str) -> Mapping[str, str]:
    """The sentences of a language: of ``de-AT``, then of ``de``; none where neither is known."""
    from jinja2 import TemplateNotFound

    if environment.loader and re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", language):
        for name in (language.lower(), language.lower().partition("-")[0]):
            with suppress(TemplateNotFound):
                text, file, _ = environment.loader.get_source(environment, f"words/{name}.json")
                return _read_words(text, file or name)
    return {}


@lru_cache(maxsize=32)
def _read_words(text: str, file: str) -> Mapping[str, str]:
    try:
        words: Mapping[str, str] = json.loads(text)
    except ValueError as error:
        raise RenderError(f"{file}: {error}", hint='It is JSON: {"English": "translation"}.') from error
    return words


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


# --- what stands in the configuration --------------------------------------------------------------------------------

_OTHERWISE = (
    (r"\{\{", "write it without {{ }}"),
    (r"&&", "say `and`"),
    (r"\|\|", "say `or`"),
    (r"!(?!=)", "say `not`"),
    (r"(?<![=!<>])=(?!=)", "compare by =="),
)
"""What is written by those who know other languages, and what it is here."""
_QUOTED = re.compile(r""""[^"]*"|'[^']*'""")


def _judged(compile: Callable[[], Made], condition: str | None = None) -> Made:
    try:
        return compile()
    except Exception as error:  # a syntax error for the most part; Python's own limits, too, can be met
        words = str(getattr(error, "message", None) or error) or type(error).__name__
        hint = ""
        if condition is not None:
            plain, example = _QUOTED.sub("", condition), """write it like '"sea" in entry.tags'"""
            hint = next((hint for sign, hint in _OTHERWISE if re.search(sign, plain)), example)
        raise RenderError(f"cannot be understood: {words}", hint=hint) from error


def _check_names(tree: nodes.Node, known: Mapping[str, Collection[str]]) -> None:
    from jinja2 import nodes

    for name in tree.find_all(nodes.Name):
        if name.name not in known:
            raise RenderError(
                f"there is no {name.name!r}, only {', '.join(known)}", hint=f'text stands in quotes: "{name.name}"'
            )
    for node in tree.find_all(nodes.Getattr):
        there = known[node.node.name] if isinstance(node.node, nodes.Name) else [node.attr]
        if isinstance(node.node, nodes.Name) and node.attr not in there:
            near = get_close_matches(node.attr, there, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(sorted(there))}"
            raise RenderError(f"{node.node.name} has no {node.attr!r}", hint=hint)


# --- what a template does with a variable ----------------------------------------------------------------------------


class _Use(NamedTuple):
    place: str
    own: bool
    """It is, or may be, the variable that is used; else something that may hold what was printed of it."""
    plain: bool
    """An attribute of it is printed, and nothing else is done."""


class _Reading:
    """Reads templates without rendering them."""

    def __init__(self, environment: Environment, variable: str) -> None:
        self._environment = environment
        self._variable = variable
        self._seen: set[tuple[str, bool]] = set()

    def template(self, name: str, *, captured: bool = False) -> Iterator[_Use]:
        """What it does, with all that it extends, includes and imports.

        Args:
            captured: what it prints goes to something else first, which may change it.
        """
        loader = self._environment.loader
        if loader and (name, captured) not in self._seen:
            self._seen.add((name, captured))
            text, file, _ = loader.get_source(self._environment, name)
            yield from self._node(name, self._environment.parse(text, name, file), captured=captured)

    def text(self, text: str) -> Iterator[_Use]:
        """The same for a template that is given as text."""
        return self._node("template", self._environment.parse(text), captured=False)

    def _node(self, name: str, node: nodes.Node, *, captured: bool) -> Iterator[_Use]:
        from jinja2 import nodes

        place = f"{name}:{node.lineno}"
        if isinstance(node, nodes.Name) and node.name in (self._variable, "self", "super"):  # the latter print blocks
            yield _Use(place, own=node.name == self._variable, plain=False)
        if isinstance(node, nodes.Block) and captured:  # another template may print the variable in it
            yield _Use(place, own=False, plain=False)
        if isinstance(node, nodes.Extends) or getattr(node, "with_context", False):
            yield from self._others(place, node, captured=captured)
        captured = captured or isinstance(node, _capturing())
        for child in node.iter_child_nodes():
            if not isinstance(node, nodes.Output) or captured:
                yield from self._node(name, child, captured=captured)
            else:
                yield from self._printed(name, child)

    def _printed(self, name: str, node: nodes.Node) -> Iterator[_Use]:
        """What is printed as it is."""
        from jinja2 import nodes

        if isinstance(node, nodes.Getattr) and _is_name(node.node, self._variable):
            yield _Use(f"{name}:{node.lineno}", own=True, plain=True)
        elif not _is_block(node):
            yield from self._node(name, node, captured=False)

    def _others(self, place: str, node: nodes.Node, *, captured: bool) -> Iterator[_Use]:
        from jinja2 import TemplateNotFound, nodes

        try:
            found = node.template.as_const()  # type: ignore[attr-defined]  # all nodes that come here have one
        except nodes.Impossible:
            yield _Use(place, own=True, plain=False)
            return
        for name in [found] if isinstance(found, str) else found:
            with suppress(TemplateNotFound):  # which is allowed, or told when it is rendered
                yield from self.template(name, captured=captured)


def _capturing() -> tuple[type[nodes.Node], ...]:
    """What does not write at once, or not in the usual way, that which is printed in it."""
    from jinja2 import nodes

    return nodes.AssignBlock, nodes.CallBlock, nodes.FilterBlock, nodes.Macro, nodes.ScopedEvalContextModifier


def _is_block(node: nodes.Node) -> bool:
    """Whether it is ``super()`` or ``self.name()``."""
    from jinja2 import nodes

    if not isinstance(node, nodes.Call) or node.args or node.kwargs:
        return False
    return _is_name(node.node, "super") or (isinstance(node.node, nodes.Getattr) and _is_name(node.node.node, "self"))


def _is_name(node: nodes.Node, name: str) -> bool:
    from jinja2 import nodes

    return isinstance(node, nodes.Name) and node.name == name
