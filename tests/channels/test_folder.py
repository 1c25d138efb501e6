from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from receivers import make_issue, make_parcel

from publisher.channels.folder import KIND, Folder, _file_name, _refusal
from publisher.errors import ChannelDown, ChannelError
from publisher.model import Issue, Publication, Verdict
from publisher.net import Net


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_message_is_a_file_and_each_issue_one_more(tmp_path: Path, net: Net) -> None:
    outbox = tmp_path / "new" / "outbox"
    issues = [make_issue(1), make_issue(2)]
    parcels = [make_parcel(n, "Ann <ann@example.org>" if n % 2 else "", issues[n // 2]) for n in range(4)]
    receipts = list(Folder(path=outbox).send(parcels, net))
    assert {receipt.verdict for receipt in receipts} == {Verdict.SENT}
    assert sorted(receipt.detail for receipt in receipts) == [name for name in names(outbox) if name.endswith(".eml")]
    assert [name for name in names(outbox) if name.endswith(".json")] == ["weekly-1.json", "weekly-2.json"]
    assert (outbox / "weekly-1.json").read_bytes() == issues[0].document("issue.json").body
    message = message_from_bytes((outbox / receipts[1].detail).read_bytes(), policy=policy.default)
    assert (message["To"], message["Subject"]) == ("Ann <ann@example.org>", "The Weekly, 1")
    assert message["Message-ID"] == f"<{parcels[1].message_id}>"


def test_the_variants_of_an_edition_have_files_of_their_own(tmp_path: Path, net: Net) -> None:
    issues = [make_issue(1), replace(make_issue(1), id=2, variant="de-3f9a1c2b")]
    list(Folder(path=tmp_path).send([make_parcel(n, "", issue) for n, issue in enumerate(issues)], net))
    assert [name for name in names(tmp_path) if name.endswith(".json")] == [
        "weekly-1-de-3f9a1c2b.json",
        "weekly-1.json",
    ]


def test_a_notice_is_a_message_and_no_issue(tmp_path: Path, net: Net) -> None:
    notice = replace(make_issue(1), number=0, variant="notice 1f0a")
    [receipt] = Folder(path=tmp_path).send([make_parcel(1, "ann@example.org", notice)], net)
    assert receipt.verdict is Verdict.SENT
    assert [name[:30] for name in names(tmp_path)] == ["weekly-notice-ann-example.org-"]


def test_the_same_parcel_is_the_same_file(tmp_path: Path, net: Net) -> None:
    for _ in range(2):
        list(Folder(path=tmp_path).send([make_parcel()], net))
    assert len(names(tmp_path)) == 2


def test_recipients_whose_names_look_alike_have_files_of_their_own(tmp_path: Path, net: Net) -> None:
    recipients = ["a+b@example.org", "a-b@example.org", "A_B@example.org"]
    list(Folder(path=tmp_path).send([make_parcel(n, to) for n, to in enumerate(recipients)], net))
    assert len([name for name in names(tmp_path) if name.endswith(".eml")]) == 3


def test_the_sender_can_be_named(tmp_path: Path, net: Net) -> None:
    options = TypeAdapter(Folder).validate_python({"path": tmp_path, "from": "Post <post@example.org>"})
    (receipt,) = options.send([make_parcel()], net)
    assert b"\r\nFrom: Post <post@example.org>\r\n" in (tmp_path / receipt.detail).read_bytes()
    with pytest.raises(ValueError, match=r"^from: 'nobody'"):
        Folder(path=tmp_path, sender="nobody")


def test_what_is_no_address_fails_and_leaves_no_file(tmp_path: Path, net: Net) -> None:
    receipts = list(Folder(path=tmp_path).send([make_parcel(1, "../../etc/passwd"), make_parcel(2)], net))
    assert [receipt.verdict for receipt in receipts] == [Verdict.FAILED, Verdict.SENT]
    assert len(names(tmp_path)) == 2


@given(st.text(), st.text())
def test_a_file_name_never_leads_out_of_the_folder(recipient: str, publication: str) -> None:
    plain = make_issue()
    named = Publication(name=publication, title="", site=plain.publication.site)
    issue = Issue(number=7, publication=named, created=plain.created, entries=())
    name = _file_name(make_parcel(1, recipient, issue))
    assert Path("outbox", name).parent == Path("outbox")
    assert name.isascii()
    assert not name.startswith(".")
    assert len(name) < 200


def test_an_issue_that_cannot_be_mailed_or_recorded_is_broken_and_the_others_are_written(
    tmp_path: Path, net: Net
) -> None:
    plain = make_issue()
    unrecorded = replace(plain, id=3, number=3, documents=plain.documents[:-1])
    issues = [make_issue(2, title="a\x00b"), unrecorded, plain]
    told = [(r.verdict, r.detail) for r in Folder(path=tmp_path).send([make_parcel(issue=i) for i in issues], net)]
    assert [verdict for verdict, _ in told] == [Verdict.BROKEN, Verdict.BROKEN, Verdict.SENT]
    assert "control character" in told[0][1]
    assert told[1][1] == "weekly, issue 3 has no document 'issue.json'"
    assert names(tmp_path) == sorted([told[2][1], "weekly-1.json"])


def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path, net: Net) -> None:
    (tmp_path / "outbox").write_text("")
    for path in (tmp_path / "outbox", tmp_path / "outbox" / "deeper"):
        with pytest.raises(ChannelError, match="cannot be written") as caught:
            list(Folder(path=path).send([make_parcel()], net))
        assert not isinstance(caught.value, ChannelDown)
        assert "`path`" in caught.value.hint
        with pytest.raises(ChannelError, match="cannot be written"):
            Folder(path=path).check(net)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path, net: Net) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ChannelError, match="Permission denied"):
        Folder(path=tmp_path).check(net)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_channel_that_is_down(number: int) -> None:
    assert isinstance(_refusal(OSError(number, os.strerror(number)), Path("outbox")), ChannelDown)


def test_a_write_that_fails_at_the_last_step_leaves_nothing_behind(tmp_path: Path, net: Net) -> None:
    name = _file_name(make_parcel())
    (tmp_path / name / "in the way").mkdir(parents=True)
    with pytest.raises(ChannelError, match="cannot be written"):
        list(Folder(path=tmp_path).send([make_parcel()], net))
    assert names(tmp_path) == sorted([name, "weekly-1.json"])


def test_check_leaves_nothing_behind(tmp_path: Path, net: Net) -> None:
    assert Folder(path=tmp_path / "outbox").check(net) == f"{tmp_path / 'outbox'} can be written"
    assert names(tmp_path / "outbox") == []


def test_the_kind_is_found_by_its_name() -> None:
    assert (KIND.kind, KIND.personal) == ("folder", True)
