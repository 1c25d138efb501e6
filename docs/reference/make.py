"""Makes this reference from the code: configuration.md, config.schema.json, commands.md and api.md, by ``make docs``.

Options are told as the JSON Schema tells them, commands as ``--help`` does; the example of a kind is the one that the
repository's config.yaml holds of it, be it in force or a comment.  The API is told as its OpenAPI document tells it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from publisher.access import SCOPES
from publisher.app import schema
from publisher.cli import cli
from publisher.web.api import BASE, ENDPOINTS
from publisher.web.api.document import document

HERE = Path(__file__).parent
CONFIG = HERE.parent.parent / "config.yaml"
Shape = Mapping[str, Any]
"""A JSON Schema, or a part of one."""


def main() -> None:
    """Write the documents that changed."""
    for name, text in documents().items():
        file = HERE / name
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
            print(f"{file.name} was written")


def documents() -> dict[str, str]:
    """The reference as it should be now, by file name."""
    shape = schema()
    return {
        "config.schema.json": json.dumps(shape, indent=1, ensure_ascii=False) + "\n",
        "configuration.md": "\n\n".join(_configuration(shape)) + "\n",
        "commands.md": "\n\n".join(_commands()) + "\n",
        "api.md": "\n\n".join(_api(document())) + "\n",
    }


def uncommented(text: str) -> str:
    """A configuration with its examples in force: the indented lines that are a comment from the start."""
    return re.sub(r"^( +)# ", r"\1", text, flags=re.MULTILINE)


# --- configuration.md ------------------------------------------------------------------------------------------------

_MADE = "<!-- Made from the code by `make docs`. -->"
_INTRODUCTION = """\
# Configuration

One file, `config.yaml`, says everything; only `version` and `site` must be there. `publisher check` tells every fault
with its line, `publisher show` what is in force, and editors that know JSON Schema check while you type when the file
begins with

```
# yaml-language-server: $schema=docs/reference/config.schema.json
```

In any value

- `${NAME}` stands for the environment variable of that name, `${NAME:-text}` for text where it is not set, and `$$`
  for a dollar sign;
- `!file path` stands for the content of a file, such as a secret that the system hands over.

The environment overrides the file: `PUBLISHER_SERVER__LISTEN=0.0.0.0:80` is `server: {listen: "0.0.0.0:80"}`. Two
underscores stand between the keys. Paths are relative to the folder that `config.yaml` is in. An option that is not
known is a fault, and so is a name that leads nowhere."""

_VALUES = """\
## How values are written

| value | is written |
| --- | --- |
| duration | `90s`, `30m`, `6h`, `7d`, `2w`, or several together: `1h30m` |
| rate | `20/s`, `600/m`, `5000/h`, `100000/d` |
| size | `500KB`, `5MB`, `512KiB`, or a number of bytes |
| schedule | `every 30m`, `daily 08:00`, `mon 08:00`, `mon,thu 08:00`, `weekdays 17:30`, `monthly 1 08:00`, or cron: \
`0 8 * * 1` |
| time zone | its IANA name, such as `Europe/Lisbon` |
| name | the key of a source, publication or channel: `a` to `z`, digits, `_` and `-`, at most 64 of them |
| secret | text that no command, page or log shows |
| file or folder | relative to the folder that `config.yaml` is in, or absolute |

Where clocks change, a schedule that names a time of day fires once a day: 02:30 comes once in autumn, and in spring
just after the hour that is left out. `every` counts elapsed time, and sources with the same interval are visited at
different moments of it."""

_ROOMS = {
    "sources": """\
Each has a name of its own, a kind, the options of its kind, and those that all of them know. Of
these, what a source leaves out is taken from `defaults`.""",
    "channels": """\
Each has a name of its own, a kind, the options of its kind, and those that all of them know. One named `outbox`, of the
kind `folder`, is there even if nobody writes it.""",
}

_KINDS_TO_COME = """\
A program can bring kinds of its own: a frozen dataclass whose fields are the options, named by an entry point of the
group `publisher.sources` or `publisher.channels`."""

_EXAMPLES = {
    "The whole file": """\
version: 1
site: {title: Harbour News, url: "https://news.example.org"}
sources:
  blog: {kind: feed, url: "https://blog.example.org/feed.xml"}
publications:
  weekly:
    title: The Harbour Weekly
    digest: {schedule: "mon 08:00"}
    recipients: [team@example.org]
""",
    "`site`": """\
site:
  title: Harbour News
  url: https://news.example.org
  timezone: Europe/Lisbon
  postal_address: Harbour Street 1, 1000 Lisbon
""",
    "`server`": """\
server: {listen: "127.0.0.1:8080", trusted_proxies: [127.0.0.1]}
""",
    "`defaults`": """\
defaults: {every: 1h, keep: 180d}
""",
    "`publications`": """\
publications:
  weekly:
    title: The Harbour Weekly
    description: What happened at the harbour.
    recipients: [team@example.org]
""",
    "`rules` of a publication": """\
publications:
  everything:
    title: Everything
    rules:
      - drop: '"sponsored" in entry.tags'
      - retitle: "{{ entry.title | replace('Council: ', '') }}"
        when: 'entry.source == "council"'
      - section: Council
        when: 'entry.source == "council"'
      - pin: '"urgent" in entry.tags | map("lower")'
    settle: 15m
""",
    "`feeds` of a publication": """\
publications:
  weekly:
    title: The Harbour Weekly
    feeds: {formats: [rss, html], limit: 20, content: teaser}
""",
    "`digest` of a publication": """\
publications:
  weekly:
    title: The Harbour Weekly
    digest:
      schedule: "mon,thu 08:00"
      timezone: Europe/Lisbon
      subject: "{{ publication.title }}, no. {{ issue.number }}: {{ entries | length }} new"
      first_issue: 7d
    recipients: [team@example.org]
""",
    "`topics` of a publication": """\
sources:
  blog: {kind: feed, url: "https://blog.example.org/feed.xml"}
publications:
  weekly:
    title: The Harbour Weekly
    topics:
      ships: {title: Ships, sources: [blog], tags: [arrivals, departures]}
      council: {title: Council news, tags: [council, mayor]}
""",
    "`subscriptions`": """\
subscriptions: {confirm_within: 3d, archive: none}
""",
    "`bounces`": """\
bounces:
  mailbox: {url: "imaps://bounce%40example.org:${IMAP_PASSWORD}@imap.example.org/INBOX", every: 5m}
  ses: {topic: "arn:aws:sns:eu-west-1:123456789012:bounces"}
""",
    "`retry`": """\
retry: {attempts: 12, for: 5d}
""",
    "`log`": """\
log: {level: debug, format: text}
""",
}


def _configuration(shape: Shape) -> Iterator[str]:
    yield from (_MADE, _INTRODUCTION)
    yield _section(shape, "The whole file", shape, level=2)
    for name, part in shape["properties"].items():
        if name in ("sources", "channels"):
            yield from _room(shape, name)
        elif name == "publications":
            yield from _publications(shape)
        elif "properties" in _followed(shape, part):
            yield _section(shape, f"`{name}`", _followed(shape, part), level=2)
            yield from _below(shape, _followed(shape, part))
    yield _KINDS_TO_COME
    yield _VALUES


def _publications(shape: Shape) -> Iterator[str]:
    [publication] = _named(shape, "publications")
    yield _section(shape, "`publications`", publication, level=2)
    for name in ("feeds", "digest"):
        yield _section(shape, f"`{name}` of a publication", _followed(shape, publication["properties"][name]), level=3)
    [rule] = (choice["items"] for choice in _choices(shape, publication["properties"]["rules"]))
    yield _section(shape, "`rules` of a publication", _followed(shape, rule), level=3)
    [topic] = publication["properties"]["topics"]["patternProperties"].values()
    yield _section(shape, "`topics` of a publication", _followed(shape, topic), level=3)


def _room(shape: Shape, room: str) -> Iterator[str]:
    """What all kinds of a room know, then what each adds."""
    kinds = {part["properties"]["kind"]["const"]: part for part in _named(shape, room)}
    common = set.intersection(*(set(part["properties"]) for part in kinds.values()))
    shared = next(iter(kinds.values()))
    yield f"## `{room}`\n\n{shape['properties'][room]['description']} {_ROOMS[room]}"
    options = {name: option for name, option in shared["properties"].items() if name in common - {"kind"}}
    if options:
        yield _table(shape, {"properties": options})
        yield from _below(shape, {"properties": options})
    for kind, part in sorted(kinds.items()):
        own = {name: option for name, option in part["properties"].items() if name not in common}
        yield _section(shape, f"{room[:-1].title()} kind `{kind}`", {**part, "properties": own}, level=3)
        yield from _below(shape, {"properties": own})
        if found := _examples(room).get(kind):
            yield _fenced(f"{room}:\n{found}")


def _section(shape: Shape, heading: str, part: Shape, *, level: int) -> str:
    example = _fenced(_EXAMPLES[heading]) if heading in _EXAMPLES else ""
    pieces = ("#" * level + f" {heading}", _prose(part.get("description", "")), _table(shape, part), example)
    return "\n\n".join(filter(None, pieces))


def _table(shape: Shape, part: Shape) -> str:
    rows = [
        (f"`{name}`", _type(shape, option), _default(part, name), _description(shape, option))
        for name, option in part["properties"].items()
    ]
    return _rows(("option", "type", "default", ""), rows) if rows else ""


def _below(shape: Shape, part: Shape) -> Iterator[str]:
    """Tables of the options whose value is a mapping of options itself."""
    for name, option in part["properties"].items():
        mappings = [_followed(shape, choice.get("items", choice)) for choice in _choices(shape, option)]
        tables = (_table(shape, mapping) for mapping in mappings if "properties" in mapping)
        yield from (f"`{name}` knows:\n\n{table}" for table in dict.fromkeys(tables))


def _named(shape: Shape, room: str) -> list[Shape]:
    """What may stand under a name of that room: one shape, or one for each kind."""
    [part] = shape["properties"][room]["patternProperties"].values()
    return [_followed(shape, choice) for choice in part.get("oneOf", [part])]


def _followed(shape: Shape, part: Shape) -> Shape:
    """What a reference refers to, and what an option is that may be left out; of several, the first."""
    return _choices(shape, part)[0]


def _choices(shape: Shape, part: Shape) -> list[Shape]:
    """All that an option may be, but nothing."""
    choices = [one for one in part.get("anyOf", part.get("oneOf", [part])) if one.get("type") != "null"]
    return [shape["$defs"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in choices]


def _type(shape: Shape, option: Shape) -> str:
    return ", or ".join(_type_of(shape, choice) for choice in _choices(shape, option))


def _type_of(shape: Shape, option: Shape) -> str:
    if option.get("type") == "array":
        return f"list of {_type(shape, option['items'])}"
    if values := option.get("enum", [option["const"]] if "const" in option else []):
        return ", ".join(f"`{value}`" for value in values)
    marks = {
        "secret": option.get("writeOnly"),
        "file or folder": option.get("format") == "path",
        "duration": "smhdw" in option.get("pattern", ""),
        "rate": option.get("pattern", "").endswith("[smhd]$"),
        "size": option.get("type") == ["string", "integer"],
        f"whole number, {option.get('minimum')} to {option.get('maximum')}": "maximum" in option,
    }
    return next((words for words, fits in marks.items() if fits), "") or _TYPES[option["type"]]


_TYPES = {"string": "text", "integer": "whole number", "boolean": "`true` or `false`", "object": "mapping"}


def _default(part: Shape, name: str) -> str:
    if name in part.get("required", ()):
        return "**required**"
    default = part["properties"][name].get("default")
    if default in (None, "", []) or isinstance(default, dict):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _description(shape: Shape, option: Shape) -> str:
    text = option.get("description") or _followed(shape, option).get("description", "")
    examples = [] if _type(shape, option) in ("duration", "rate", "size", "mapping") else option.get("examples", [])
    return _prose(f"{text.rstrip('.')}. Example: `{examples[0]}`." if examples else text)


def _examples(room: str) -> dict[str, str]:
    """The first example of each kind in config.yaml."""
    text = uncommented(CONFIG.read_text("utf-8"))
    text = re.sub(" {2,}# ", "  # ", text)
    parts = re.search(rf"^{room}:\n((?: .*\n|\n)*)", text, re.MULTILINE)
    found = re.findall(r"^  [\w-]+:.*\n(?:   +.*\n)*", parts[1] if parts else "", re.MULTILINE)
    kinds = [(kind[1], one) for one in found if (kind := re.search(r"\bkind: (\w+)", one))]
    return dict(reversed(kinds))


# --- commands.md -----------------------------------------------------------------------------------------------------

_COMMANDS = """\
# Commands

`publisher` works on `./config.yaml`; `-c` before the command names another. `publisher COMMAND -h` says what is said
here.

| exit code | means |
| --- | --- |
| 0 | all is well |
| 1 | something failed; the message says what |
| 2 | wrong use, or a fault in the configuration |
| 3 | nothing could be reached: the site, the mail server, the name server |
| 130 | interrupted from the keyboard |"""


def _commands() -> Iterator[str]:
    root = typer.main.get_command(cli)
    yield from (_MADE, _COMMANDS)
    yield "Before the command can stand:\n\n" + _parameters(root, "publisher", but=("completion",))
    for path, command in _walk(root, "publisher"):
        yield _command(path, command)


def _walk(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _walk(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _command(path: str, command: Any) -> str:
    words, _, example = command.help.partition("Example: ")
    usage = re.sub(r"[{}]", "", " ".join([path, *command.collect_usage_pieces(typer.Context(command))]))
    pieces = (f"## `{path}`", _prose(words.strip()), f"```\n{usage}\n```", _parameters(command, path))
    return "\n\n".join(filter(None, (*pieces, example and f"For example:\n\n```\n{example.strip()}\n```")))


def _parameters(command: Any, path: str, but: Sequence[str] = ()) -> str:
    context = typer.Context(command, info_name=path)
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [(f"`{_told(name)}`", _prose(words)) for name, words in records if not any(part in name for part in but)]
    return _rows(("argument or option", ""), rows) if rows else ""


def _told(name: str) -> str:
    """``--only <str>`` in an operator's words; an argument's name says enough."""
    name, _, kind = name.partition(" <")
    return f"{name} {_KINDS_OF_VALUE[kind.rstrip('>')]}" if kind and name.startswith("-") else name


_KINDS_OF_VALUE = {"str": "TEXT", "list[str]": "TEXT", "int": "NUMBER", "path": "PATH"}


# --- api.md ----------------------------------------------------------------------------------------------------------

_API = """\
# API

For programs: JSON over HTTP, below `/api/v1`. How it is used is told with examples in
[use the API](../how-to/use-the-api.md); the same as here, for machines, is at `/api/v1/openapi.json` (OpenAPI 3.1).

Every request has a token in its head, `Authorization: Bearer pub_…`; `publisher token add NAME --scope …` makes one.
What it is good for are its scopes:"""

_API_RULES = """\
A body is JSON (`Content-Type: application/json`) of at most 5 MB. What is not known in it is a fault, and nothing is
done where there is one. Moments have an offset (`2026-12-01T08:00:00Z`).

Lists come in pages of `limit` items, 50 if nothing is said and at most 200. `next` is the cursor of the page after,
and the header `Link` has its address; what is added meanwhile moves nothing from one page to another.

What goes wrong has one shape, [`Problem`](#problem) (RFC 9457, `application/problem+json`):

| status | means |
| --- | --- |"""


def _api(told: Shape) -> Iterator[str]:
    yield from (
        _MADE,
        _API,
        _rows(("scope", "lets a program see or do"), [(f"`{one}`", SCOPES[one]) for one in SCOPES]),
    )
    operations = (operation for path in told["paths"].values() for operation in path.values())
    wrong = {
        status: answer["description"]
        for operation in operations
        for status, answer in operation["responses"].items()
        if int(status) >= 400
    }
    yield "\n".join([_API_RULES, *(f"| {status} | {words} |" for status, words in sorted(wrong.items()))])
    for endpoint in ENDPOINTS:
        yield from _operation(told["paths"][endpoint.path][endpoint.method.lower()], endpoint.method, endpoint.path)
    yield "## Shapes\n\nWhat has a default may be left out."
    for name, shape in told["components"]["schemas"].items():
        yield from _told_shape(name, shape)


def _operation(told: Shape, method: str, path: str) -> Iterator[str]:
    [scope] = [one[0] for need in told["security"] for one in need.values()] or [""]
    need = f"Needs `{scope}`." if scope else "Needs no token."
    yield f"## `{method} {BASE}{path}`\n\n{told['summary']}. {need}"
    rows = [(f"`{one['name']}`", _json_type(one["schema"]), one["description"]) for one in told["parameters"]]
    if rows:
        yield _rows(("parameter", "type", ""), rows)
    body = told.get("requestBody", {}).get("content", {}).values()
    takes = "".join(f"Takes {_json_type(one['schema'])}. " for one in body)
    yield f"{takes}Answers {_answers(told['responses'])}."


def _answers(responses: Shape) -> str:
    return ", or ".join(
        status + "".join(f" with {_json_type(one['schema'])}" for one in answer.get("content", {}).values())
        for status, answer in responses.items()
        if int(status) < 400
    )


def _told_shape(name: str, shape: Shape) -> Iterator[str]:
    yield f"### `{name}`\n\n{_prose(' '.join(shape['description'].split()))}"
    if "oneOf" in shape:
        yield f"Either {_json_type(shape)}."
    rows = [
        (f"`{key}`", _json_type(option), _json_default(shape, key, option), _prose(option.get("description", "")))
        for key, option in shape.get("properties", {}).items()
    ]
    if rows:
        yield _rows(("field", "type", "default", ""), rows)


def _json_default(shape: Shape, name: str, option: Shape) -> str:
    if name in shape.get("required", ()):
        return ""
    return f"`{json.dumps(option['default'])}`" if "default" in option else ""


def _json_type(option: Shape) -> str:
    """A JSON Schema in a few words; shapes are links."""
    if choices := option.get("anyOf", option.get("oneOf")):
        return ", or ".join(map(_json_type, choices))
    if "$ref" in option:
        name = option["$ref"].rpartition("/")[2]
        return f"[`{name}`](#{name.lower()})"
    if values := option.get("enum", [option["const"]] if "const" in option else []):
        return ", ".join(f"`{value}`" for value in values)
    if option["type"] == "array":
        return f"list of {_json_type(option['items'])}" + _bounds(option, "minItems", "maxItems")
    if option["type"] == "object":
        values = option.get("patternProperties", {"": option.get("additionalProperties", True)}).values()
        return "mapping" + "".join(f" to {_json_type(one)}" for one in values if isinstance(one, dict))
    words = {"date-time": "moment", "uri": "web address"}.get(option.get("format", ""), _JSON_TYPES[option["type"]])
    return words + _bounds(option, "minimum", "maximum") + _bounds(option, "minLength", "maxLength")


_JSON_TYPES = {"string": "text", "integer": "whole number", "boolean": "`true` or `false`", "null": "`null`"}


def _bounds(option: Shape, least: str, most: str) -> str:
    if most not in option:
        return ""
    return f", {option[least]} to {option[most]}" if option.get(least) else f", at most {option[most]}"


# --- Markdown --------------------------------------------------------------------------------------------------------


def _prose(text: str) -> str:
    """Plain text as Markdown: what stands between backticks is code, and no `<` opens a tag."""
    pieces = text.replace("``", "`").split("`")
    return "`".join(piece if index % 2 else piece.replace("<", "\\<") for index, piece in enumerate(pieces))


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(" ".join(c.split()).replace("|", "\\|") for c in line) + " |" for line in lines)


def _fenced(text: str) -> str:
    return f"```yaml\n{text.rstrip()}\n```"


if __name__ == "__main__":
    main()
