"""Taking over a list that another system exported: who is enrolled, asked, suppressed, or refused, and why.

It is done in batches of twenty thousand rows, each in a transaction of its own, so that a list of any size takes the
same memory, and one that was interrupted is simply imported again: whoever is there already is left as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import chain, islice
from typing import BinaryIO, NamedTuple

from publisher.config import Settings
from publisher.errors import Unfit
from publisher.mime import address_key
from publisher.model import Clock
from publisher.store import OWN, Departure, Enrolment, SignUp, Standing, Store, Suppression, Tx
from publisher.subscribers import doors
from publisher.subscribers.cells import rows
from publisher.subscribers.lists import Layout, Line, Says, layout
from publisher.timetable import time_zone

DOOR = "import"

_BATCH = 20_000
"""Rows of a transaction.  In a store of a million readers each writes nearly every page of the indexes anew, be it
small or large: four small ones take twice as long as this one, which holds others up for about a second.
"""

_REASONS = {Says.DEAD: "hard", Says.COMPLAINED: "complaint", Says.BLOCKED: "by hand"}
"""Of a suppression from everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms a list is taken over."""

    publication: str
    consent: str = ""
    """How it is known that all those want it of whom the file does not say so; empty: it is not."""
    ask: bool = False
    """Those of whom it is not known are asked, each by one mail; else they are refused."""
    dry_run: bool = False
    """Nothing is changed: it is only told what would be."""


@dataclass(slots=True)
class Tally:
    """What became of the rows of a file so far."""

    system: str = ""
    """Who wrote it."""
    rows: int = 0
    bytes: int = 0
    """As many have been read."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How many rows came to each: a key of ``OUTCOMES``."""


OUTCOMES = {
    "enrolled": "get it from now on",
    "asked": "are asked by mail",
    "known": "were there already, and are left as they are",
    "suppressed": "are on the suppression list, and stay there",
    "left": "had left; now on the suppression list",
    "dead": "cannot be reached, or are blocked; now on the suppression list",
    "refused": "refused",
}
"""What a row can come to, in words."""


class Refusal(NamedTuple):
    """A row that was not taken over."""

    line: int
    address: str
    """As it is written; empty where there is none."""
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a row comes to."""

    outcome: str
    why: str = ""
    """Of a refusal."""


_UNSTATED = "nothing tells that they want it"
_UNCONFIRMED = "they never confirmed that they want it"
_HINT = "--consent says how it is known, --ask asks them by mail"
_ASK = "--ask asks them by mail"


def decide(line: Line, standing: Standing, terms: Terms) -> Verdict:
    """What a row comes to, for somebody who stands to the publication in that way."""
    if line.says is Says.NOTHING:
        return Verdict("refused", line.why)
    if line.publication and line.publication != terms.publication:
        return Verdict("refused", f"it is about {line.publication}")
    if line.says in _REASONS:
        return Verdict("suppressed" if standing.suppressed.difference(OWN) else "dead")
    if line.says is Says.LEFT:
        return _departure(line, standing)
    return _arrival(line, standing, terms)


def _departure(line: Line, standing: Standing) -> Verdict:
    """They left there; that they came back since, here, counts more."""
    if standing.suppressed:
        return Verdict("suppressed")
    is_back = standing.state == "active" and line.moment and standing.confirmed and standing.confirmed > line.moment
    return Verdict("known" if is_back else "left")


def _arrival(line: Line, standing: Standing, terms: Terms) -> Verdict:
    if standing.suppressed:
        return Verdict("suppressed")
    if standing.state == "active":
        return Verdict("known")
    if line.says is Says.WANTS or (line.says is Says.LISTED and terms.consent):
        return Verdict("enrolled")
    if terms.ask:
        return Verdict("known" if standing.state in ("asked", "pending") else "asked")
    is_listed = line.says is Says.LISTED
    return Verdict("refused", f"{_UNSTATED} ({_HINT})" if is_listed else f"{_UNCONFIRMED} ({_ASK})")


@dataclass(slots=True)
class _Batch:
    """What is to be written for a batch of rows."""

    enrolled: list[Enrolment] = field(default_factory=list)
    asked: list[SignUp] = field(default_factory=list)
    left: list[Departure] = field(default_factory=list)
    dead: list[Suppression] = field(default_factory=list)

    def write(self, tx: Tx, publication: str) -> None:
        """Write it."""
        tx.subscribers.enrol(publication, self.enrolled, DOOR)
        tx.subscribers.sign_up_all(self.asked)
        tx.subscribers.depart(publication, self.left, DOOR)
        tx.suppressions.add_all(self.dead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Takes over one list."""

    store: Store
    settings: Settings
    languages: Collection[str]
    clock: Clock
    terms: Terms
    file: str
    """Its name, as the log of consents tells it."""

    def take_over(self, stream: BinaryIO, refused: Callable[[Refusal], None], told: Callable[[Tally], None]) -> Tally:
        """Take over a list; each batch of it is committed by itself.

        Args:
            refused: told of each row that is not taken over.
            told: how far it is, after each batch.

        Raises:
            Unfit: there is no such publication, or no column with addresses.
            OSError: the file cannot be read.
            StoreError: a batch was not written; those before it were.
        """
        self._check()
        tally = Tally()

        def passed(count: int) -> None:
            tally.bytes = count

        of_file = rows(stream, passed)
        first = next(of_file, None)
        if first is None:
            raise Unfit(f"{self.file}: is empty", field="file")
        form = layout(first, self.file)
        tally.system = form.system.name
        rest = of_file if form.has_header else chain([first], of_file)
        for lines in _in_parts(form.line(row) for row in rest):
            for refusal in self._batch(form, lines, tally):
                refused(refusal)
            told(tally)
        return tally

    def _check(self) -> None:
        if self.settings.subscriptions is None:
            raise Unfit(
                "the configuration has no `subscriptions:`", field="publication", hint="write subscriptions: {}"
            )
        if self.terms.publication not in self.settings.audiences:
            known = ", ".join(self.settings.audiences) or "none"
            raise Unfit(
                f"there is no {self.terms.publication!r} to subscribe to; there is: {known}", field="publication"
            )

    def _batch(self, form: Layout, lines: Sequence[Line], tally: Tally) -> list[Refusal]:
        """Decide on a batch of lines and write what follows, in one transaction."""
        addresses = [line.address for line in lines if line.says is not Says.NOTHING]
        with self.store.read() if self.terms.dry_run else self.store.write() as tx:
            standings = tx.subscribers.standings(addresses, self.terms.publication)
            batch, refusals, outcomes = self._sorted(form, lines, standings)
            if not self.terms.dry_run:
                batch.write(tx, self.terms.publication)
        tally.outcomes.update(outcomes)
        tally.rows += len(lines)
        return refusals

    def _sorted(
        self, form: Layout, lines: Sequence[Line], standings: dict[str, Standing]
    ) -> tuple[_Batch, list[Refusal], list[str]]:
        """What is to be written for these lines; who is there twice is dealt with once."""
        now, batch = self.clock(), _Batch()
        refusals: list[Refusal] = []
        outcomes: list[str] = []
        for line in lines:
            key = address_key(line.address)
            verdict = decide(line, standings.get(key, _UNKNOWN), self.terms)
            outcomes.append(verdict.outcome)
            if verdict.outcome == "refused":
                refusals.append(Refusal(line.number, line.address, verdict.why))
            elif new := self._put(batch, verdict.outcome, line, form.system.name, now):
                standings[key] = new
        return batch, refusals, outcomes

    def _put(self, batch: _Batch, outcome: str, line: Line, system: str, now: datetime) -> Standing | None:
        """Put one into the batch; returns how they stand then, None where nothing changes."""
        moment = min(line.moment or now, now)
        if outcome == "enrolled":
            batch.enrolled.append(self._enrolment(line, system, moment, now))
            return Standing(state="active", confirmed=moment)
        if outcome == "asked":
            batch.asked.append(self._sign_up(line, system, now))
            return Standing(state="asked")
        if outcome == "left":
            wording = self._wording(line, system)
            batch.left.append(Departure(address=line.address, moment=moment, wording=wording))
            return Standing(suppressed=frozenset({"unsubscribed"}))
        if outcome == "dead":
            reason, detail = _REASONS[line.says], self._wording(line, system)
            batch.dead.append(Suppression(address=line.address, reason=reason, detail=detail, moment=moment))
            return Standing(suppressed=frozenset({reason}))
        return None

    def _enrolment(self, line: Line, system: str, moment: datetime, now: datetime) -> Enrolment:
        return Enrolment(
            address=line.address,
            name=_tidy(line.name),
            language=self._language(line.language),
            timezone=_zone(line.timezone),
            frequency=self._frequency(line.frequency),
            topics=self._topics(line.topics),
            created=min(line.created or now, now),
            confirmed=moment,
            wording=self._wording(line, system),
        )

    def _sign_up(self, line: Line, system: str, now: datetime) -> SignUp:
        return SignUp(
            address=line.address,
            name=_tidy(line.name),
            publications=(self.terms.publication,),
            frequency=self._frequency(line.frequency),
            topics=self._topics(line.topics),
            language=self._language(line.language),
            timezone=_zone(line.timezone),
            door=DOOR,
            wording=f"{system}, {self.file}",
            moment=now,
        )

    def _wording(self, line: Line, system: str) -> str:
        """How it is known what somebody wants: in the words of the file, or of the operator."""
        source = f"{system}, {self.file}"
        return f"{self.terms.consent} ({source})" if line.says is Says.LISTED else f"{source}: {line.consent}"

    def _language(self, tag: str) -> str:
        return tag if tag in self.languages else ""

    def _frequency(self, written: str) -> str:
        """The stored name; the publication's first where it offers none of that name."""
        if not written:
            return ""
        try:
            return doors.frequency_of(self.settings, self.terms.publication, written)
        except Unfit:
            return ""

    def _topics(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of them that the publication has."""
        if not names:
            return ()
        known = self.settings.publications[self.terms.publication].topics
        return doors.topics_of(self.settings, self.terms.publication, [name for name in names if name in known])


_UNKNOWN = Standing()


def _tidy(name: str) -> str:
    """A name as one line of plain text, as long as one may be."""
    if not name.isprintable():
        name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return name[: doors.LONGEST_NAME].strip()


@lru_cache(maxsize=1024)
def _zone(name: str) -> str:
    """An IANA time zone; empty where there is none of that name."""
    try:
        return time_zone(name).key if name else ""
    except ValueError:
        return ""


def _in_parts(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while part := list(islice(lines, _BATCH)):
        yield part
