"""Rows by the page: as one JSON document they go to the database, and come from it.

SQLite's driver lets go of Python's lock for each row that it is given or gives, and waits for all other threads to
get it back.  Where sixty of them visit sources, that takes longer than all that is done with the rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, bindparam, cast, column, func

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Connection, Dialect, Select

_Change = Callable[[Any], Any]


def of_page(dialect: str, columns: Iterable[Column[Any]]) -> list[ColumnElement[Any]]:
    """The columns of the rows of a page, for a statement that is given one."""
    each = func.json_array_elements if dialect == "postgresql" else func.json_each
    row = each(bindparam("page", type_=JSON)).table_valued(column("value", JSON)).c.value
    return [cast(row[index].as_string(), one.type).label(one.name) for index, one in enumerate(columns)]


def page(dialect: Dialect, columns: Sequence[Column[Any]], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """The parameters of such a statement; the rows hold values of these columns."""
    bound = [_unchanged_or(one.type.dialect_impl(dialect).bind_processor(dialect)) for one in columns]
    return {"page": [[change(value) for change, value in zip(bound, row, strict=True)] for row in rows]}


def rows_of(connection: Connection, found: Select[Any], parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows that a statement finds, in no order."""
    dialect = connection.dialect
    if dialect.name != "sqlite":
        return [tuple(row) for row in connection.execute(found, parameters)]
    rows = json.loads(connection.execute(_as_document(found), parameters).scalar_one())
    kinds = [one.type.dialect_impl(dialect) for one in found.selected_columns]
    read = [_unchanged_or(kind.result_processor(dialect, None)) for kind in kinds]
    return [tuple(change(value) for change, value in zip(read, row, strict=True)) for row in rows]


@cache
def _as_document(found: Select[Any]) -> Select[Any]:
    return found.with_only_columns(func.json_group_array(func.json_array(*found.selected_columns)))


def _unchanged_or(change: _Change | None) -> _Change:
    return change or (lambda value: value)
