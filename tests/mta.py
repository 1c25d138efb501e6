"""A real mail system on loopback: Postfix takes mail, Dovecot keeps it and gives it back.

Both are Debian's, started without an init system, with configuration, queue, mail and log in a folder of their own and
on ports that were free; nothing outside that folder is touched and no mail can leave the machine.
"""

from __future__ import annotations

import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from waiting import PATIENCE, wait_for

PASSWORD = "p/w@#1"
"""Of every mailbox, and of the login at ``Mta.submission``."""

_MAILBOXES = [f"box{number}" for number in range(1, 301)]
"""All are there from the start: Dovecot may take seconds to notice that its list of users has changed."""
_KEEPER = "nobody"  # whose files the mails are; Dovecot refuses root's

_QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "pid")
_QUEUES += ("private", "public", "saved", "trace")
_PORTS = ("smtp", "submission", "small", "small_untold", "imap", "imaps", "pop3", "pop3s", "lmtp")

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mta.example.org
mydestination =
alias_maps =
local_recipient_maps =
smtpd_peername_lookup = no
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {certificate}
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/auth
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
  check_recipient_access inline:{{
    {{ refused@example.org = 550 5.1.1 no such mailbox }}
    {{ busy@example.org = 450 4.2.1 mailbox is busy }} }}
  permit
recipient_delimiter = +
virtual_mailbox_domains = example.org, maildir.example.org
virtual_mailbox_maps = static:inbox/
virtual_mailbox_base = {folder}/maildir
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_transport = lmtp:unix:{folder}/lmtp
default_transport = error:5.4.4 nothing leaves this machine
transport_maps = inline:{{
  {{ later@example.org = lmtp:unix:{folder}/nobody-listens }}
  {{ maildir.example.org = virtual: }} }}
"""

_SERVICES = """\
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{submission} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
127.0.0.1:{small} inet n - n - - smtpd
  -o message_size_limit=1500
127.0.0.1:{small_untold} inet n - n - - smtpd
  -o message_size_limit=1500
  -o smtpd_discard_ehlo_keywords=size
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

_DOVECOT = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl_cert = <{certificate}
ssl_key = <{certificate}
mail_location = maildir:~/mail
mail_fsync = never
first_valid_uid = 1
recipient_delimiter = +
auth_failure_delay = 0
disable_plaintext_auth = no
mail_max_userip_connections = 100
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
service anvil {{
  # No waiting after a wrong password.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
"""


@dataclass(frozen=True)
class Mta:
    """The running mail system.

    Postfix takes mail for ``example.org`` and hands it to Dovecot, which has ``box1`` and so on, and
    knows ``name+detail`` as ``name``.  What is for somebody whom Dovecot does not know Postfix takes, and then sends
    back.  Besides there are ``refused`` (550 at RCPT), ``busy`` (450) and ``later`` (taken, and then it waits); mail
    for ``maildir.example.org`` is put into the folder ``maildir``.
    """

    folder: Path
    ports: Mapping[str, int]
    """Of Postfix ``smtp``, ``submission`` (STARTTLS and a login), ``small`` (takes 1,500 bytes), ``small_untold`` (does
    not say so); of Dovecot ``imap``, ``imaps``, ``pop3``, ``pop3s``, ``lmtp``."""
    unused: Iterator[str] = field(default_factory=lambda: iter(_MAILBOXES))

    def new_mailbox(self) -> str:
        """The name of an empty mailbox that nobody else uses."""
        return next(self.unused)

    @contextmanager
    def open_mailbox(self, name: str) -> Iterator[imaplib.IMAP4]:
        """A mailbox, seen by another mail reader than ours."""
        with imaplib.IMAP4("127.0.0.1", self.ports["imap"], timeout=PATIENCE) as client:
            client.login(f"{name}@example.org", PASSWORD)
            client.select()
            yield client

    def fill(self, name: str, *messages: bytes) -> None:
        """Put messages into a mailbox, in that order."""
        with self.open_mailbox(name) as client:
            for message in messages:
                client.append("INBOX", None, None, message)

    def contents(self, name: str) -> list[bytes]:
        """The messages in a mailbox as they are, oldest first."""
        with self.open_mailbox(name) as client:
            found = client.uid("FETCH", "1:*", "BODY.PEEK[]")[1]
            return [part[1] for part in found if isinstance(part, tuple)]

    def messages(self, name: str, *, count: int) -> list[EmailMessage]:
        """The messages in a mailbox, once there are so many."""
        wait_for(lambda: len(self.contents(name)) >= count)
        return [message_from_bytes(message, policy=policy.default) for message in self.contents(name)]

    def log(self, awaited: str = "", *, since: int = 0) -> str:
        """What Postfix wrote from that character on, once what is awaited is there."""
        file = self.folder / "postfix.log"
        wait_for(lambda: awaited in file.read_text()[since:])
        return file.read_text()[since:]


@contextmanager
def running(certificate: Path) -> Iterator[Mta]:
    """Postfix and Dovecot, with a certificate and its key in one file."""
    postfix, dovecot = _programs()
    # Not pytest's own folder: that is closed to the other users whom the two run as, and its name too long for sockets.
    folder = Path(tempfile.mkdtemp(prefix="publisher-mta-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        mta = Mta(folder, _free_ports(_PORTS))
        _lay_out(mta, certificate)
        commands = [dovecot, "-F", "-c", folder / "dovecot.conf"], [postfix, "-d", "-c", folder / "postfix"]
        stack.enter_context(_kept_running(folder, *commands))
        for port in mta.ports.values():
            _await(port, folder)
        yield mta


def _programs() -> tuple[str, str]:
    """Postfix's master and Dovecot's."""
    folders = "/usr/lib/postfix/sbin:/usr/sbin:/usr/lib/dovecot"
    found = [shutil.which(name, path=folders) for name in ("master", "dovecot", "imap", "pop3", "lmtp")]
    postfix, dovecot = found[:2]
    if not postfix or not dovecot or not all(found):
        pytest.skip("needs Postfix and Dovecot: apt-get install postfix dovecot-{core,imapd,pop3d,lmtpd}")
    if os.getuid():
        pytest.skip("Postfix and Dovecot start as root only")
    return postfix, dovecot


def _free_ports(names: Iterable[str]) -> dict[str, int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))) for _ in names]
        return {name: probe.getsockname()[1] for name, probe in zip(names, probes, strict=True)}


def _lay_out(mta: Mta, certificate: Path) -> None:
    folder, keeper = mta.folder, pwd.getpwnam(_KEEPER)
    folder.chmod(0o755)
    for name in ("postfix", "data", "mail", "maildir", *(f"queue/{queue}" for queue in _QUEUES)):
        (folder / name).mkdir(parents=True)
        shutil.chown(folder / name, "root" if name in ("postfix", "queue/pid") else "postfix")
    for name in ("mail", "maildir"):
        os.chown(folder / name, keeper.pw_uid, keeper.pw_gid)
    shutil.copy(certificate, folder / "certificate.pem")
    values = {"folder": folder, "certificate": folder / "certificate.pem", "uid": keeper.pw_uid, "gid": keeper.pw_gid}
    user = "{}@example.org:{}:{uid}:{gid}::{folder}/mail/{}::\n"
    users = "".join(user.format(name, PASSWORD, name, **values) for name in _MAILBOXES)
    files = {"postfix/main.cf": _MAIN, "postfix/master.cf": _SERVICES, "dovecot.conf": _DOVECOT, "users": users}
    for name, text in files.items():
        (folder / name).write_text(text.format(**values, **mta.ports))


_KEPT = ["setpriv", "--pdeathsig", "TERM", "sh", "-c", """trap 'kill $!' TERM; "$@" & wait; wait""", "sh"]
"""Ends the command that follows when it is told to, and when the process that started it is killed.

Postfix cannot be told by the kernel itself: it changes its user now and then, which makes the kernel forget that.
"""


@contextmanager
def _kept_running(folder: Path, *commands: Sequence[str | Path]) -> Iterator[None]:
    with (folder / "started.log").open("ab") as log:
        processes = [
            subprocess.Popen(
                [*_KEPT, *command], start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            for command in commands
        ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(PATIENCE)


def _await(port: int, folder: Path) -> None:
    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except OSError:
            return False
        return True

    try:
        wait_for(answers)
    except AssertionError as error:
        logs = "\n".join(file.read_text() for file in folder.glob("*.log"))
        raise AssertionError(f"the mail system did not start:\n{logs}") from error
