"""Read the date in a short text, as web pages write it: ISO 8601, RFC 2822, day-first numbers, months in words.

Words are understood in English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Czech, Turkish, Finnish,
the Scandinavian languages, Russian, Ukrainian, Greek, Hebrew and Arabic; signs in Chinese, Japanese and Korean.  A date
without a year is no date.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone

_MONTHS = (
    "january januar janner janvier enero gennaio janeiro januari"
    " stycznia ledna ocak tammikuuta января січня ιανουαριου בינואר يناير",
    "february februar fevrier febrero febbraio fevereiro februari"
    " lutego unora subat helmikuuta февраля лютого φεβρουαριου בפברואר فبراير",
    "march marz maerz mars marzo marco maart mrt marca brezna mart maaliskuuta марта березня μαρτιου במרץ מרץ مارس",
    "april avril abril aprile kwietnia dubna nisan huhtikuuta апреля квітня απριλιου באפריל ابريل",
    "may mai mayo maggio maio mei maj maja kvetna mayis toukokuuta мая травня μαιου במאי مايو",
    "june juin juni junio giugno junho czerwca cervna haziran kesakuuta июня червня ιουνιου ביוני يونيو",
    "july juillet juli julio luglio julho lipca cervence temmuz heinakuuta июля липня ιουλιου ביולי يوليو",
    "august aout agosto augustus augusti sierpnia srpna agustos elokuuta августа серпня αυγουστου באוגוסט اغسطس",
    "september sept septembre septiembre setembro settembre"
    " wrzesnia zari eylul syyskuuta сентября вересня σεπτεμβριου בספטמבר سبتمبر",
    "october oktober octobre octubre ottobre outubro"
    " pazdziernika rijna ekim lokakuuta октября жовтня οκτωβριου באוקטובר اكتوبر",
    "november novembre noviembre novembro"
    " listopada listopadu kasim marraskuuta ноября листопада νοεμβριου בנובמבר نوفمبر",
    "december dezember decembre diciembre dicembre dezembro desember"
    " grudnia prosince aralik joulukuuta декабря грудня δεκεμβριου בדצמבר ديسمبر",
)
_NAME = "(?P<name>[a-zа-яіґα-ωא-תء-ي]{3,14})"
_TIME = (
    r"(?:\D{1,6}?(?P<hour>\d{1,2})[:h](?P<minute>\d{2})(?::(?P<second>\d{2}))?(?:\.\d+)?"
    r"(?:\s?(?P<half>[ap])\.?m\b)?(?:\s?(?:z|gmt|utc|(?P<zone>[+-]\d{2}:?\d{2}))(?![a-z]))?)?"
)
# Of a Korean syllable only the first consonant is left when it is folded.
_FORMS = tuple(
    re.compile(form + _TIME, re.ASCII)
    for form in (
        r"(?<!\d)(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})(?!\d)",
        r"(?<!\d)(?P<year>\d{4}) ?[年\u1102] ?(?P<month>\d{1,2}) ?[月\u110b] ?(?P<day>\d{1,2}) ?[日\u110b]",
        r"(?<!\d)(?P<one>\d{1,2})([./-])\s?(?P<two>\d{1,2})\2\s?(?P<year>\d{4}|\d{2})(?!\d)",
        r"(?<!\d)(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.|o)?[ -](?:of |de )?" + _NAME + r"\.?,?[ -](?:de )?"
        r"(?P<year>\d{4})(?!\d)",
        r"\b" + _NAME + r"\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?,? (?P<year>\d{4})(?!\d)",
    )
)
_LONGEST = 200
_BESIDE = 25
"""Characters that may stand beside a date in a text that is only a date: ``Last modified on``, a weekday."""


def read_date(text: str, *, month_first: bool = False) -> datetime | None:
    """The first date in a text, aware and in UTC; None when there is none that can be read.

    A time without a zone is taken for UTC.

    Args:
        text: only its first 200 characters are looked at; a bare number is a Unix time in seconds or milliseconds.
        month_first: ``3/11/2026`` is 11 March, as in the United States; else it is 3 November.
    """
    text = _folded(text)
    try:
        if re.fullmatch(r"\d{10}|\d{13}", text, re.ASCII):
            return datetime.fromtimestamp(int(text[:10]), UTC)
        match = _first_match(text)
        return _moment(match, month_first) if match else None
    except (ValueError, OverflowError):
        return None


def is_date(text: str) -> bool:
    """Whether a text is a date and little beside it (``Posted on 3 November 2026``)."""
    folded = _folded(text)
    match = _first_match(folded)
    return match is not None and len(folded) - len(match[0]) <= _BESIDE


def without_date(text: str) -> str:
    """One line of text without a date that it begins with, and without the dash or colon after that."""
    match = _first_match(_folded(text))
    at_front = match is not None and match.start() <= 1 and match.end() < _LONGEST
    return text[match.end() :].lstrip(" )]|:,.·–—-") if match and at_front else text


def _folded(text: str) -> str:
    """The beginning of a text in lower case, on one line, each letter without its accent: no position changes."""
    line = " ".join(text[:_LONGEST].split()).replace("ı", "i")
    return "".join(unicodedata.normalize("NFKD", letter)[0].lower()[0] for letter in line)


def _first_match(text: str) -> re.Match[str] | None:
    if not any(map(str.isdigit, text)):
        return None
    matches = (match for form in _FORMS for match in form.finditer(text) if _month_named(match))
    return min(matches, key=re.Match.start, default=None)


def _month_named(match: re.Match[str]) -> int:
    """Its month from 1 to 12; 0 when the word there is none.  For a form without words, anything but 0."""
    name = match.groupdict().get("name")
    if name is None:
        return -1
    return next((number for number, names in enumerate(_MONTHS, 1) if f" {name}" in f" {names}"), 0)


def _moment(match: re.Match[str], month_first: bool) -> datetime:
    fields = match.groupdict()
    year = int(fields["year"])
    if year < 100:
        year += 2000 if year < 70 else 1900
    month, day = _month_and_day(match, month_first)
    hour, minute, second = (int(fields[name] or 0) for name in ("hour", "minute", "second"))
    if fields["half"]:
        hour = hour % 12 + (12 if fields["half"] == "p" else 0)
    return datetime(year, month, day, hour, minute, second, tzinfo=_zone(fields["zone"])).astimezone(UTC)


def _month_and_day(match: re.Match[str], month_first: bool) -> tuple[int, int]:
    fields = match.groupdict()
    if fields.get("name"):
        return _month_named(match), int(fields["day"])
    if fields.get("month"):
        return int(fields["month"]), int(fields["day"])
    one, two = int(fields["one"]), int(fields["two"])
    swapped = two > 12 or (month_first and one <= 12 and "/" in match[0])
    return (one, two) if swapped else (two, one)


def _zone(text: str | None) -> timezone:
    """The zone written ``+02:00``; UTC without one."""
    if not text:
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)
