"""Mail through a program of this machine that takes a message on its standard input, as sendmail does."""

from __future__ import annotations

import errno
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from publisher.channels import Receipts, Way, unsendable
from publisher.channels._mail import (
    Bounces,
    From,
    ReplyTo,
    Signatures,
    Unsubscribe,
    check_mailboxes,
    check_returns,
    signers,
)
from publisher.channels._wire import printable
from publisher.errors import ChannelDown, ChannelError, RenderError
from publisher.mime import Letters, bare_address
from publisher.model import Parcel, Receipt, Verdict
from publisher.net import Net
from publisher.options import Duration

_PLACE = re.compile(r"\{(sender|recipient)\}")
_KEPT = ("HOME", "PATH")  # of the environment; anything else in it may be a secret of ours
_GLANCE = 0.05  # seconds from one look to the next at whether a program ended that left its output open to another
_PIPE = 65536  # bytes that a pipe holds (pipe(7)): all that was left in it
_LONGEST_WORDS = 4096  # bytes kept of what a program says

# The exit codes of sysexits.h that are about this message or this recipient, and those that are about us.
_NOBODY = (os.EX_NOUSER, os.EX_NOHOST)
_NEVER = (os.EX_DATAERR, *_NOBODY)
_REFUSED = (os.EX_USAGE, os.EX_NOPERM, os.EX_CONFIG)
_PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True)
class Sendmail:
    """Hand each message to a program of this machine."""

    kind: ClassVar[str] = "sendmail"
    personal: ClassVar[bool] = True

    command: Annotated[
        str | tuple[str, ...],
        Field(
            description="The program and its arguments, as a line or as a list; no shell reads it. {sender} and "
            "{recipient} stand for the addresses."
        ),
    ] = "/usr/sbin/sendmail -i -f {sender} -- {recipient}"
    sender: From = ""
    reply_to: ReplyTo = ""
    bounces: Bounces = ""
    unsubscribe: Unsubscribe = ""
    dkim: Signatures = ()
    timeout: Annotated[Duration, Field(description="How long it may take for a message.")] = timedelta(minutes=1)
    connections: Annotated[int, Field(ge=1, le=100, description="How many of it run at once, at most.")] = 1

    def __post_init__(self) -> None:
        _check_command(self._words)
        check_mailboxes(**{"from": self.sender, "reply_to": self.reply_to})
        check_returns(bounces=self.bounces, unsubscribe=self.unsubscribe)
        if self.sender and bare_address(self.sender).startswith("-"):
            raise ValueError("from: an address that begins with a hyphen looks like an option of the program")
        if self.bounces.startswith(("-", "{token}")):
            raise ValueError("bounces: write a word before {token}, or it may look like an option of the program")

    @property
    def _words(self) -> Sequence[str]:
        return self.command if isinstance(self.command, tuple) else _split(self.command)

    def ways(self) -> Sequence[Way]:
        """One."""
        return (Way(send=self.send, connections=self.connections),)

    def send(self, parcels: Iterable[Parcel], net: Net) -> Receipts:
        """Run the program for each parcel, one at a time.

        Raises:
            ChannelDown: this machine has no room for another program or file now.
            ChannelError: the program is missing, or refuses us or its arguments.
        """
        letters = Letters(
            sender=self.sender,
            reply_to=self.reply_to,
            signers=signers(self.dkim),
            unsubscribe_mail=self.unsubscribe,
        )
        for parcel in parcels:
            yield self._delivered(parcel, letters)

    def check(self, net: Net) -> str:
        """See whether the program is there.  It is not run: there is no run that sends nothing, whatever it is."""
        found = shutil.which(self._words[0], path=_environment().get("PATH"))
        if not found:
            raise ChannelError(f"{self._words[0]} is missing, or may not be run", hint=_HINT)
        return f"{found} is there; it was not run"

    def _delivered(self, parcel: Parcel, letters: Letters) -> Receipt:
        try:
            letter, recipient = letters.of(parcel.issue), bare_address(parcel.recipient)
            message = letter.to(parcel)
            returns = self.bounces.replace("{token}", parcel.token) if parcel.token else ""
            command = _filled(self._words, sender=returns or letter.sender, recipient=recipient)
        except (RenderError, ValueError) as error:
            return unsendable(parcel, error)
        return self._run(parcel.delivery, command, message)

    def _run(self, delivery: int, command: Sequence[str], message: bytes) -> Receipt:
        # The program writes the line ends of this machine anew, as its own protocol wants them.
        seconds, text = self.timeout.total_seconds(), message.replace(b"\r\n", b"\n")
        try:
            code, said = _outcome(command, text, seconds)
        except subprocess.TimeoutExpired:
            detail = f"{command[0]} took more than {seconds:g} s, and was stopped"
            return Receipt(delivery=delivery, verdict=Verdict.UNCERTAIN, detail=detail)
        except OSError as error:
            raise _not_run(command[0], error) from error
        detail = f"{_told(code)}: {printable(said)}".removesuffix(": ")
        if code in _REFUSED:
            raise ChannelError(f"{command[0]} refuses us: {detail}", hint=_HINT)
        return Receipt(delivery=delivery, verdict=_verdict(code), detail=detail, gone=code in _NOBODY)


KIND = Sendmail

_HINT = "Look at `command`: the program by its whole path, then its arguments."


# --- the command, pure -----------------------------------------------------------------------------------------------


def _split(line: str) -> Sequence[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ValueError(f"command: {error}") from None


def _check_command(words: Sequence[str]) -> None:
    if not words or not words[0] or _PLACE.search(words[0]):
        raise ValueError("command: it begins with the program to run")
    if not any("{recipient}" in word for word in words):
        raise ValueError("command: nothing in it says who gets the message; write {recipient}")
    if any("\0" in word for word in words):
        raise ValueError("command: a word of it cannot be handed to a program")


def _filled(words: Sequence[str], **known: str) -> Sequence[str]:
    """The words with the addresses in their places.

    Raises:
        ValueError: an address would be taken for an option: it begins with a hyphen, and no ``--`` stands before it.
    """
    filled = [_PLACE.sub(lambda place: known[place[1]], word) for word in words]
    options = words.index("--") if "--" in words else len(words)
    for word, argument in zip(words[:options], filled, strict=False):
        if argument.startswith("-") and not word.startswith("-"):
            raise ValueError(f"{argument!r} would be taken for an option of the program")
    return filled


# --- the program -----------------------------------------------------------------------------------------------------


def _outcome(command: Sequence[str], message: bytes, seconds: float) -> tuple[int, bytes]:
    """Run a program with a message before it.

    Returns:
        Its exit code, or a signal below zero; and what it said, cut off.

    Raises:
        subprocess.TimeoutExpired: it was killed, with all that it had started.
        OSError: it cannot be run.
    """
    # A file, and no pipe: a pipe ends when we are killed, and half a message would be sent as if it were whole.
    with tempfile.TemporaryFile() as whole:
        whole.write(message)
        whole.seek(0)
        with subprocess.Popen(  # noqa: S603 (the operator's own command; no shell, and no address is an option)
            [word.encode() for word in command],
            stdin=whole,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        ) as process:
            try:
                said = _heard(process, seconds)
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
            return process.returncode, said


def _environment() -> Mapping[str, str]:
    """What a program needs, and none of the secrets that our own environment may hold."""
    return {"LC_ALL": "C", "PATH": os.defpath} | {name: os.environ[name] for name in _KEPT if name in os.environ}


def _heard(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """Listen until a program ends; what is beyond the limit is read and dropped, so that it never waits for us.

    It may leave another behind that holds its output open for hours: that one is not waited for.
    """
    said, ends = b"", time.monotonic() + seconds
    with selectors.DefaultSelector() as ear:
        assert process.stdout  # noqa: S101 (it was started with a pipe)
        ear.register(process.stdout, selectors.EVENT_READ)
        while (left := ends - time.monotonic()) > 0:
            ended = process.poll() is not None
            if ear.select(0 if ended else min(left, _GLANCE)):
                piece = os.read(process.stdout.fileno(), _PIPE)
                said = (said + piece)[:_LONGEST_WORDS]
                if not piece:
                    process.wait(left)
                    return said
            if ended:
                return said
    raise subprocess.TimeoutExpired(process.args, seconds)


def _not_run(program: str, error: OSError) -> ChannelError:
    message = f"{program} cannot be run: {error.strerror or error}"
    if error.errno in _PASSING:
        return ChannelDown(message)
    return ChannelError(message, hint=_HINT)


# --- the verdict, pure -----------------------------------------------------------------------------------------------


def _verdict(code: int) -> Verdict:
    """What an exit code says (sysexits.h).

    Only what names the message or the recipient as wrong is final.  EX_UNAVAILABLE is what programs say for want of
    something better, so it is tried again, like any code that means nothing here.
    """
    if code == os.EX_OK:
        return Verdict.SENT
    if code < 0:
        return Verdict.UNCERTAIN
    return Verdict.FAILED if code in _NEVER else Verdict.DEFERRED


def _told(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"ended by signal {-code}"
