"""What a mail server's answer says about the recipient: whether mail should go there ever again.

Used for answers in a session and for those that come back by mail, so that a ``550 5.1.1`` counts the same either way.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Fate(StrEnum):
    """What follows for a recipient from what came back."""

    HARD = "hard"
    """There is nobody at this address: no more mail to it."""
    SOFT = "soft"
    """This message did not arrive; the next one may."""
    COMPLAINT = "complaint"
    """The recipient called it spam: no more mail to it."""
    UNSUBSCRIBE = "unsubscribe"
    """The recipient asked for no more."""
    NOTHING = "nothing"
    """Nothing follows: an automatic answer, a mere delay, good news, or what cannot be read."""


def fate_of(code: int, status: str = "", text: str = "", *, otherwise: Fate = Fate.SOFT) -> Fate:
    """What a reply means for the recipient.

    Hard is only what says that the address leads to nobody.  What refuses the sender or the message (policy, spam,
    reputation: RFC 3463 section 3.8) is no fault of the recipient's, and a full mailbox may be emptied.  A status is
    believed where it is specific; where it is none or ``5.0.0`` the words decide, of which the first 2,000 characters
    are looked at.

    Args:
        code: the reply code (RFC 5321 section 4.2.1); 0 when there is none.
        status: the enhanced code (RFC 3463), such as ``5.1.1``; when empty or unspecific, it is looked for in the text.
        text: the server's words.
        otherwise: what to say of a permanent refusal that tells nothing of its reason.
    """
    text = " ".join(text[:_ENOUGH].split())
    words, status = _ELSEWHERE.sub(" ", text), _telling(status, text)
    severity = status[:1] or str(code)[:1]
    if severity == "2":
        return Fate.NOTHING
    if severity == "4" or _NOT_THEIRS.search(words) or status[2:].startswith("7."):
        return Fate.SOFT
    if status[2:] in _NOBODY or (status[2:] in _VAGUE and _GONE.search(words)):
        return Fate.HARD
    return otherwise if status[2:] in _VAGUE else Fate.SOFT


def code_in(text: str) -> int:
    """The reply code that a server's words begin with or hold, such as 550; 0 when there is none."""
    found = _CODE.search(text[:_ENOUGH])
    return int(found[1]) if found else 0


def status_in(text: str) -> str:
    """The enhanced status code in a server's words, the first that is specific; empty when there is none."""
    return _telling("", text[:_ENOUGH])


def _telling(status: str, text: str) -> str:
    found = [status] if _STATUS.fullmatch(status) else []
    found += _STATUS.findall(text)
    return next((one for one in found if not one.endswith(".0.0")), found[0] if found else "")


_ENOUGH = 2000
_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)", re.ASCII)
_CODE = re.compile(r"(?<![\w.:+-])([245][0-5]\d)(?=[ \-#]|$)", re.ASCII | re.MULTILINE)
_ELSEWHERE = re.compile(r"https?://\S{1,500}|[^\s<>@]{1,200}@[^\s<>@]{1,255}", re.IGNORECASE)
"""Addresses and links: a reader at spam.example is no spam."""

_NOBODY = frozenset({"1.1", "1.2", "1.3", "1.6", "1.10", "2.1"})
"""RFC 3463 sections 3.2 and 3.3; 1.10 is a domain that takes no mail (RFC 7505), and Exchange's unknown recipient."""
_VAGUE = frozenset({"", "0.0", "1.0", "2.0", "3.0", "4.0", "4.1", "4.4", "5.0", "5.1"})
"""What servers also say of an unknown recipient, so that only their words can tell."""

_NOT_THEIRS = re.compile(
    # we are refused
    r"spam|block(?:ed|ing|list)|black ?-?list|deny-?list|reputation|policy|policies|\bdmarc\b|\bspf\b|\bdkim\b|\brbl\b"
    r"|\bdnsbl\b|grey-?list|gray-?list|rate limit|too many|throttl|unsolicited|bulk mail|virus|malware|phish"
    r"|suspicious|content reject|not authori[sz]ed|authentication|sender (?:address )?(?:denied|rejected|verif)"
    r"|relay(?:ing)? (?:access )?(?:denied|not permitted|not allowed|prohibited)|rcpthosts|reverse dns|\bptr\b"
    # or the message is
    r"|message (?:is )?too (?:large|big|long)|size limit|message size"
    # or the mailbox has no room
    r"|quota|(?:mail ?box|account|inbox|storage)[^.\n]{0,30}\bfull\b|insufficient (?:system )?storage|out of storage"
    r"|exceed(?:ed|s)? (?:its |the )?(?:storage|mailbox)|postfach[^.\n]{0,30}\bvoll\b|speicherplatz"
    r"|bo[iî]te[^.\n]{0,30}pleine|casella[^.\n]{0,20}piena|buz[oó]n[^.\n]{0,20}lleno|容量|いっぱい",
    re.IGNORECASE,
)
_GONE = re.compile(
    r"(?:user|mailbox|recipient|address(?:ee)?|account|alias|customer|member|e-?mail|name)\b[^.\n]{0,60}"
    r"\b(?:unknown|not found|not exist|n[o']t exist|no longer|not known|not listed|inactive|disabled|deactivated"
    r"|closed|suspended|discontinued|invalid|unavailable|not available|not a valid|not valid|undeliverable|removed)\b"
    r"|(?:unknown|no such|invalid|non-?existent|nonexistent|bad|not a valid|no valid|not our|inactive|disabled)"
    r" (?:local )?(?:virtual )?(?:user|mailbox|recipients?|address(?:ee)?|account|alias|customer|person|domain|host"
    r"|e-?mail|destination|name)"
    r"|no (?:mailbox|one|user|such|account)[^.\n]{0,20}(?:here|by that name|with that name|person)"
    r"|does(?: not|n['’]t) (?:exist|have an? )|doesnt exist|recipnotfound|recipientnotfound|address not found"
    r"|couldn['’]t be found|could not be found|(?:host|domain)[^.\n]{0,40}not found|nxdomain|unroute?able"
    r"|name service error|recipient address rejected: access denied|isn['’]t in my|no longer (?:on server|valid|active)"
    r"|couldn['’]t find any host|null ?mx|does not accept (?:e-?)?mail"
    r"|unbekannt|existiert nicht|nicht gefunden|nicht vorhanden|deaktiviert|inconnu|n['’]existe pas|desconocid"
    r"|no existe|sconosciut|inesistente|não existe|onbekend|bestaat niet|nieznany|okänd|не найден|не существует"
    r"|宛先不明|宛先が不明|存在しません|見つかりません|不存在|존재하지",
    re.IGNORECASE,
)
