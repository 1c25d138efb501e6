"""The issues: fixed lists of entries, and the documents rendered from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from secrets import token_hex

from sqlalchemy import Connection, and_, exists, func, insert, or_, select, update

from publisher.model import Document, Entry
from publisher.store.concern import Concern, chunks
from publisher.store.entries import entry
from publisher.store.rows import OPEN, IssueRow
from publisher.store.tables import counters, deliveries, documents, entries, issue_entries, issues, versions

# By each frequency an issue for all is made, by which is known what was told; where it went to nobody, nobody asks.
_worth_telling = (
    issues.c.number > 0,
    or_(
        and_(issues.c.frequency == "", issues.c.variant == ""),
        exists().where(deliveries.c.issue == issues.c.id),
    ),
)


class Issues(Concern):
    """All issues of all publications."""

    def next_number(self, publication: str) -> int:
        """The number that the publication's next issue will have."""
        last = select(counters.c.value).where(counters.c.name == _counter(publication))
        return (self._connection.scalar(last) or 0) + 1

    def add(
        self,
        publication: str,
        subject: str,
        entry_numbers: Sequence[int],
        documents: Sequence[Document],
        created: datetime,
        *,
        frequency: str = "",
        variant: str = "",
        language: str = "",
        number: int | None = None,
    ) -> IssueRow:
        """Write an issue; its entries are kept as they are now, whatever becomes of them later.

        Args:
            number: of the edition that it is a variant of; left out: it is a new edition.
        """
        row = {"publication": publication, "subject": subject, "created": created, "frequency": frequency}
        row |= {"number": self._draw(_counter(publication)) if number is None else number, "variant": variant}
        row |= {"language": language}
        statement = insert(issues).values(**row, entries=len(entry_numbers)).returning(*issues.c)
        issue = IssueRow(**self._connection.execute(statement).one()._asdict())
        self._add_entries(issue.id, entry_numbers)
        self._add_documents(issue.id, documents)
        return issue

    def notice(
        self, publication: str, subject: str, documents: Sequence[Document], created: datetime, *, language: str = ""
    ) -> IssueRow:
        """Write a notice: an issue without a number and entries, for one delivery, which is in no list of issues."""
        variant = f"notice {token_hex(16)}"
        return self.add(publication, subject, (), documents, created, variant=variant, language=language, number=0)

    def _add_entries(self, issue: int, numbers: Sequence[int]) -> None:
        current: dict[int, int] = {}
        for chunk in chunks(numbers):
            known = select(entries.c.number, entries.c.version).where(entries.c.number.in_(chunk))
            current |= {row.number: row.version for row in self._connection.execute(known)}
        rows = [
            {"issue": issue, "position": position, "number": number, "version": current[number]}
            for position, number in enumerate(numbers)
        ]
        if rows:
            self._connection.execute(insert(issue_entries), rows)

    def _add_documents(self, issue: int, bodies: Sequence[Document]) -> None:
        rows = [
            {"issue": issue, "position": position, "name": body.name, "media_type": body.media_type, "body": body.body}
            for position, body in enumerate(bodies)
        ]
        if rows:
            self._connection.execute(insert(documents), rows)

    def get(self, id: int) -> IssueRow | None:
        """One issue; None when there is none of that id."""
        row = self._connection.execute(select(issues).where(issues.c.id == id)).one_or_none()
        return IssueRow(**row._asdict()) if row else None

    def entries(self, id: int) -> tuple[Entry, ...]:
        """The entries of an issue in its order, as they were when it was made; of forgotten ones only the title."""
        former = and_(versions.c.number == issue_entries.c.number, versions.c.version == issue_entries.c.version)
        columns = {column.name: column for column in entries.c} | {
            "version": issue_entries.c.version,
            "changed": func.coalesce(versions.c.changed, entries.c.changed, type_=entries.c.changed.type),
            "content": func.coalesce(versions.c.content, entries.c.content),
        }
        told = (
            select(*(column.label(name) for name, column in columns.items()))
            .select_from(issue_entries.join(entries, entries.c.number == issue_entries.c.number))
            .outerjoin(versions, former)
            .where(issue_entries.c.issue == id)
            .order_by(issue_entries.c.position)
        )
        return tuple(entry(row) for row in self._connection.execute(told))

    def documents(self, id: int) -> tuple[Document, ...]:
        """The documents of an issue, in the order in which they were given."""
        columns = (documents.c.name, documents.c.media_type, documents.c.body)
        ordered = select(*columns).where(documents.c.issue == id).order_by(documents.c.position)
        return tuple(Document(**row._asdict()) for row in self._connection.execute(ordered))

    def recent(self, limit: int, publication: str | None = None, *, before: int | None = None) -> list[IssueRow]:
        """The last issues with their variants, newest first; of one publication where it is named.

        Args:
            before: the id of an issue; only those that were made before it.
        """
        newest = select(issues).where(*_worth_telling).order_by(issues.c.id.desc()).limit(limit)
        if publication is not None:
            newest = newest.where(issues.c.publication == publication)
        if before is not None:
            newest = newest.where(issues.c.id < before)
        return [IssueRow(**row._asdict()) for row in self._connection.execute(newest)]

    def since(self, moment: datetime) -> list[IssueRow]:
        """The issues that were made since then, with their variants, newest first."""
        made = select(issues).where(*_worth_telling, issues.c.created >= moment).order_by(issues.c.id.desc())
        return [IssueRow(**row._asdict()) for row in self._connection.execute(made)]

    def edition(self, publication: str, number: int, variant: str = "") -> IssueRow | None:
        """One edition, or one of its variants; None where there is none of that number.  A notice is no edition."""
        named = (issues.c.publication == publication, issues.c.number == number, issues.c.variant == variant)
        row = self._connection.execute(select(issues).where(*named, issues.c.number > 0)).one_or_none()
        return IssueRow(**row._asdict()) if row else None

    def editions(self, publication: str, limit: int, *, before: int | None = None) -> list[IssueRow]:
        """The last editions of the first frequency, each once, newest first; the others tell the same.

        Args:
            before: only those with a smaller number.
        """
        named = {"publication": publication, "variant": "", "frequency": ""}
        base = select(issues).where(*(issues.c[name] == value for name, value in named.items()), issues.c.number > 0)
        older = base if before is None else base.where(issues.c.number < before)
        rows = self._connection.execute(older.order_by(issues.c.number.desc()).limit(limit))
        return [IssueRow(**row._asdict()) for row in rows]

    def count(self, publication: str) -> int:
        """How many issues a publication has had, each with all its variants counted as one."""
        numbers = func.count(issues.c.number.distinct())
        counted = select(numbers).where(issues.c.publication == publication, *_worth_telling)
        return self._connection.execute(counted).scalar_one()

    def finish(self, id: int, now: datetime) -> bool:
        """Note that an issue is finished, if none of its deliveries is open.

        Returns:
            Whether it is finished, now or since before.
        """
        return finish(self._connection, id, now)

    def pause(self, id: int, why: str) -> bool:
        """Take none of its deliveries from now on; with no reason: take them again.

        Returns:
            False when there is no such issue.
        """
        paused = update(issues).where(issues.c.id == id).values(paused=why)
        return self._connection.execute(paused).rowcount == 1


def finish(connection: Connection, id: int, now: datetime) -> bool:
    """See ``Issues.finish``."""
    # Two processes may settle the last deliveries at the same moment: the second waits here, and sees the first's.
    connection.execute(select(issues.c.id).where(issues.c.id == id).with_for_update())
    waiting = exists().where(deliveries.c.issue == id, deliveries.c.state.in_(OPEN))
    finished = update(issues).where(issues.c.id == id, issues.c.finished.is_(None), ~waiting).values(finished=now)
    connection.execute(finished)
    done = select(issues.c.finished).where(issues.c.id == id)
    return connection.scalar(done) is not None


def _counter(publication: str) -> str:
    return f"issues of {publication}"
