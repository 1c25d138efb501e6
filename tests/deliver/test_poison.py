"""A message that breaks whoever sends it is parked after three times, and the others arrive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from publisher.kinds import kinds
from publisher.model import State

House = Any
COUNT = 200
THEIRS = '''
"""A third party's kind that appends recipients to a file, and breaks over one of them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from publisher.channels import Way
from publisher.model import Receipt, Verdict


@dataclass(frozen=True, kw_only=True)
class Kind:
    kind: ClassVar[str] = "theirs"
    personal: ClassVar[bool] = True
    path: str
    mended: str

    def ways(self):
        return (Way(send=self.send, connections=4),)

    def send(self, parcels, net):
        for parcel in parcels:
            if parcel.recipient.startswith("poison") and not Path(self.mended).exists():
                {breaks}
            with open(self.path, "a") as file:
                file.write(parcel.recipient + "\\n")
            yield Receipt(delivery=parcel.delivery, verdict=Verdict.SENT)

    def check(self, net):
        return "well"


KIND = Kind
'''
READERS = [f"reader{n}@example.org" for n in range(COUNT)]
EVERYBODY = [*READERS[: COUNT // 2], "poison@example.org", *READERS[COUNT // 2 :]]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages."""
    kinds.cache_clear()
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield tmp_path / "site"
    kinds.cache_clear()


def install(site: Path, name: str, breaks: str) -> None:
    """A distribution as pip would leave it."""
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / f"{name}.py").write_text(THEIRS.replace("{breaks}", breaks))
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[publisher.channels]\ntheirs = {name}:KIND\n")


def arrived(house: House) -> list[str]:
    return sorted((house.config.parent / "sent").read_text().split())


def configure(house: House) -> None:
    folder = house.config.parent
    house.configure(f"path: {folder / 'sent'}", f"mended: {folder / 'mended'}", kind="theirs")


def test_a_message_that_its_kind_raises_over_is_parked_and_the_others_arrive(house: House, site: Path) -> None:
    install(site, "theirs_that_raises", "raise RuntimeError('a fault of theirs')")
    configure(house)
    issue = house.plan(*EVERYBODY)
    for number in range(1, 4):
        house.deliver()
        assert arrived(house) == sorted(READERS), "each once, at the first time"
        [poison] = [row for row in house.rows() if row.recipient.startswith("poison")]
        assert (poison.faults, poison.detail) == (number, "RuntimeError: a fault of theirs")
        assert house.finished(issue) is False
        house.clock.advance(minutes=30)
    assert poison.state is State.PARKED
    assert house.app.status().wrong == ["issue 1 of news: 1 deliveries parked (publisher delivery list --state parked)"]
    house.clock.advance(days=1)
    assert house.deliver() == ""

    (house.config.parent / "mended").touch()
    with house.app.store.write() as tx:
        assert tx.deliveries.retry(house.clock(), issue=issue) == 1
    house.deliver()
    assert Counter(arrived(house)) == Counter(EVERYBODY)
    assert house.finished(issue)


def test_a_message_that_ends_the_process_is_parked_and_the_others_arrive(house: House, site: Path) -> None:
    """Whoever was in hand beside it is in doubt each time, and no more than that."""
    install(site, "theirs_that_ends_us", "os._exit(9)")
    house.clock.now = datetime.now(UTC)
    configure(house)
    issue = house.plan(*EVERYBODY)
    house.close()
    codes = [publisher(house, site, "deliver").returncode for _ in range(4)]
    assert codes == [9, 9, 9, 0]
    copies = Counter(arrived(house))
    assert set(copies) == set(READERS)
    assert copies.total() - COUNT <= 3, "the other connections, at the first end; later there is but one"
    listed = publisher(house, site, "delivery", "list", "--state", "parked", "--json")
    [parked] = json.loads(listed.stdout)
    assert (parked["recipient"], parked["faults"]) == ("poison@example.org", 3)
    assert parked["detail"] == "each process that was to send it came to an end"

    (house.config.parent / "mended").touch()
    publisher(house, site, "delivery", "retry", str(parked["id"]))
    assert publisher(house, site, "deliver").returncode == 0
    assert Counter(arrived(house)) - copies == Counter(["poison@example.org"])
    configure(house)
    assert house.finished(issue)


def publisher(house: House, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "publisher", "-c", str(house.config), *words]
    known = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(command, env=known, capture_output=True, text=True, check=False, timeout=60)
