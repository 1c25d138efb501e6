from __future__ import annotations

import ast
import inspect
import re
from datetime import timedelta
from pathlib import Path

import publisher
from publisher import errors
from publisher.errors import BadStatus, ChannelDown, ConfigError, Fault, PublisherError

PACKAGE = Path(publisher.__file__).parent


def drawn() -> dict[str, str]:
    """Name of each class in the tree that the docstring draws, and the name of its parent."""
    tree: dict[str, str] = {}
    path = ["PublisherError"]
    for indent, name in re.findall(r"^ {4}([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4 + 1
        path = [*path[:depth], name]
        tree[name] = path[-2]
    return tree


def test_the_tree_that_is_drawn_is_the_tree_there_is() -> None:
    classes = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, Exception)}
    del classes["PublisherError"]
    assert drawn() == {name: cls.__base__.__name__ for name, cls in classes.items()}


def test_every_error_of_the_house_is_in_the_tree() -> None:
    known = {"PublisherError", *drawn()}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and known & {ast.unparse(base).split(".")[-1] for base in node.bases}:
                assert file == PACKAGE / "errors.py", f"{node.name} belongs into errors.py"


def test_each_error_is_raised_somewhere() -> None:
    code = "\n".join(file.read_text() for file in PACKAGE.rglob("*.py") if file.name != "errors.py")
    parents = set(drawn().values())
    for name in drawn().keys() - parents:
        assert re.search(rf"\b{name}\(", code), f"nothing raises {name}"


def test_words_are_the_message_with_its_hint() -> None:
    assert PublisherError("the disk is full", hint="make room").words == "the disk is full (make room)"
    assert PublisherError("the disk is full").words == "the disk is full"


def test_a_configuration_error_prints_each_fault_with_its_line() -> None:
    faults = [
        Fault("config.yaml", 12, "sources.blog.evry", "unknown option"),
        Fault("config.yaml", 0, "", "is empty"),
    ]
    error = ConfigError(faults)
    assert str(error).splitlines() == [
        "config.yaml:12: sources.blog.evry: unknown option",
        "config.yaml: is empty",
    ]
    assert error.faults == tuple(faults)


def test_what_a_server_asked_for_is_kept() -> None:
    assert BadStatus("x", status=429, retry_after=timedelta(minutes=1)).retry_after == timedelta(minutes=1)
    assert ChannelDown("x").retry_after is None
