"""Read the date in a short text, as web pages write it: ISO 8601, RFC 2822, day-first numbers, months in words.

Words are understood in English, German, French, Spanish, Catalan, Italian, Portuguese, Romanian, Dutch, Polish, Czech,
Slovak, Hungarian, Turkish, Finnish, the Scandinavian languages, Indonesian, Vietnamese, Russian, Ukrainian, Bulgarian,
Greek, Hebrew and Arabic; signs in Chinese, Japanese and Korean, and the years of Japan's emperors; digits in any
script.  A date without a year is no date, unless one is told which year is meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone

_MONTHS = (
    "january januar januara janner janvier enero gener gennaio janeiro januari ianuarie"
    " stycznia ledna ocak tammikuuta января януари січня ιανουαριου בינואר يناير جانفي كانون الثاني",
    "february februar februara fevrier febrero febrer febbraio fevereiro februari februarie"
    " lutego unora subat helmikuuta февраля февруари лютого φεβρουαριου בפברואר فبراير فيفري شباط",
    "march marz maerz mars marzo marco maart mrt marca martie marcius maret brezna mart maaliskuuta"
    " марта март березня μαρτιου במרץ מרץ مارس اذار",
    "april aprila aprilie aprilis avril abril aprile kwietnia dubna nisan huhtikuuta"
    " апреля април квітня απριλιου באפריל ابريل افريل نيسان",
    "may mai maig mayo maggio maio mei maj maja majus kvetna mayis toukokuuta мая май травня μαιου במאי مايو ايار",
    "june juin juni juna junius juny junio giugno junho iunie czerwca cervna haziran kesakuuta"
    " июня юни червня ιουνιου ביוני يونيو جوان حزيران",
    "july juillet juli jula julius juliol julio luglio julho iulie lipca cervence temmuz heinakuuta"
    " июля юли липня ιουλιου ביולי يوليو جويلية تموز",
    "august aout agosto agost augustus augusta augusztus agustus augusti sierpnia srpna agustos elokuuta"
    " августа август серпня αυγουστου באוגוסט اغسطس اوت",
    "september sept septembre septiembre setembro setembre settembre septembra septembrie szeptember"
    " wrzesnia zari eylul syyskuuta сентября септември вересня σεπτεμβριου בספטמבר سبتمبر ايلول",
    "october oktober octobre octubre ottobre outubro oktobra octombrie"
    " pazdziernika rijna ekim lokakuuta октября октомври жовтня οκτωβριου באוקטובר اكتوبر تشرين الاول",
    "november novembre noviembre novembro novembra noiembrie"
    " listopada listopadu kasim marraskuuta ноября ноември листопада νοεμβριου בנובמבר نوفمبر تشرين الثاني",
    "december dezember decembre desembre diciembre dicembre dezembro desember decembra decembrie"
    " grudnia prosince aralik joulukuuta декабря декември грудня δεκεμβριου בדצמבר ديسمبر كانون الاول",
)
_NAME = "(?P<name>[a-zа-яіґα-ωא-תء-ي]{3,14}(?: ال(?:اول|ثاني))?)"
_TIME = (
    r"(?:\D{1,6}?(?P<hour>\d{1,2})[:h](?P<minute>\d{2})(?::(?P<second>\d{2}))?(?:\.\d+)?"
    r"(?:\s?(?P<half>[ap])\.?m\b)?(?:\s?(?:z|gmt|utc|(?P<zone>[+-]\d{2}:?\d{2}))(?![a-z]))?)?"
)
_ERAS = {"令和": 2018, "平成": 1988}
"""The year before the first one of each."""
# Of a Korean syllable only the first consonant is left when it is folded.
_FORMS = tuple(
    re.compile(form + _TIME, re.ASCII)
    for form in (
        r"(?<!\d)(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})(?!\d)",
        r"(?<!\d)(?P<year>\d{4}) ?[年\u1102] ?(?P<month>\d{1,2}) ?[月\u110b] ?(?P<day>\d{1,2}) ?[日\u110b]",
        r"(?<!\d)(?P<one>\d{1,2})([./-])\s?(?P<two>\d{1,2})\2\s?(?P<year>\d{4}|\d{2})(?!\d)",
        r"(?<!\d)(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.|o)?[ -](?:of |de )?" + _NAME + r"\.?,?[ -](?:de )?"
        r"(?P<year>\d{4})(?!\d)",
        r"\b" + _NAME + r"[.,]? (?P<day>\d{1,2})(?:st|nd|rd|th)?,? (?P<year>\d{4})(?!\d)",
        r"(?<!\d)(?P<day>\d{1,2}),? thang (?P<month>\d{1,2}),? (?:nam )?(?P<year>\d{4})(?!\d)",
        r"(?<!\d)(?P<year>\d{4})\.? " + _NAME + r"\.? (?P<day>\d{1,2})(?!\d)",
        r"(?P<era>令和|平成) ?(?P<year>\d{1,2}|元) ?年 ?(?P<month>\d{1,2}) ?月 ?(?P<day>\d{1,2}) ?日",
    )
)
_YEARLESS = tuple(
    re.compile(form + _TIME, re.ASCII)
    for form in (
        r"(?<![\d.:])(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.|o)?[ -](?:of |de |d')?" + _NAME + r"(?!\w|\.? ?\d{4})",
        r"\b" + _NAME + r"\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?(?![\d:]|,? \d{4})",
        r"(?<!\d)(?P<month>\d{1,2}) ?[月\u110b] ?(?P<day>\d{1,2}) ?[日\u110b]",
        r"^(?P<month>\d{2})-(?P<day>\d{2})$",
        r"^(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?!\d)",
        r"^(?P<one>\d{1,2})(?P<slash>/)(?P<two>\d{1,2})$",
    )
)
_NUMBERS = re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/(?:\d{4}|\d{2})(?![\d/])", re.ASCII)
_ADDRESS = re.compile(
    r"/(?P<year>20\d\d)(?P<between>[/-])(?P<month>\d\d|[a-z]{3})(?P=between)(?P<day>\d\d)(?![\d])", re.ASCII
)
_YEAR = re.compile(
    r"(?:" + _NAME + r"[ .,]+)?(?P<year>(?:19|20)\d\d)(?: ?[年\u1102](?: ?\d{1,2} ?[月\u110b])?)?(?: ?\(\d+\))?",
    re.ASCII,
)
_ARCHIVE = "archive archives archiv archivo archivio arkiv news year annee jahr"
_LONGEST = 200
_LONGEST_YEAR = 30
_BESIDE = 25
"""Characters that may stand beside a date in a text that is only a date: ``Last modified on``, a weekday."""


def read_date(text: str, *, month_first: bool = False, year: int = 0) -> datetime | None:
    """The first date in a text, aware and in UTC; None when there is none that can be read.

    A time without a zone is taken for UTC.

    Args:
        text: only its first 200 characters are looked at; a bare number is a Unix time in seconds or milliseconds.
        month_first: ``3/11/2026`` is 11 March, as in the United States; else it is 3 November.
        year: that of a date which is written without one; 0: such a date is none.
    """
    text = _folded(text)
    try:
        if re.fullmatch(r"\d{10}|\d{13}", text, re.ASCII):
            return datetime.fromtimestamp(int(text[:10]), UTC)
        match = _first_match(text) or (_first_match(text, _YEARLESS) if year else None)
        return _moment(match, month_first, year) if match else None
    except (ValueError, OverflowError):
        return None


def is_date(text: str, *, yearless: bool = False) -> bool:
    """Whether a text is a date and little beside it (``Posted on 3 November 2026``).

    Args:
        yearless: it may have no year.
    """
    folded = _folded(text)
    match = _first_match(folded) or (_first_match(folded, _YEARLESS) if yearless else None)
    return match is not None and len(folded) - len(match[0]) <= _BESIDE


def date_of_address(url: str) -> datetime | None:
    """The day that an address names: ``/2026/11/03/``, ``/2026/nov/03/``, ``/2026-11-03``."""
    match = _ADDRESS.search(url.lower())
    if not match:
        return None
    month = int(match["month"]) if match["month"].isdecimal() else _month_called(match["month"])
    try:
        return datetime(int(match["year"]), month, int(match["day"]), tzinfo=UTC)
    except ValueError:
        return None


def year_told(text: str) -> int:
    """The year that a text names which names nothing else, but perhaps its month (``March 2026``); else 0."""
    match = _YEAR.fullmatch(_folded(text).strip(" :–—-")) if len(text) <= _LONGEST_YEAR else None
    is_year = match and (match["name"] in (None, *_ARCHIVE.split()) or _month_named(match))
    return int(match["year"]) if match and is_year else 0


def puts_month_first(texts: Iterable[str]) -> bool | None:
    """Whether dates like ``11/23/2026`` are among texts, and none like ``23/11/2026``; None where neither tells."""
    pairs = [(int(one), int(two)) for text in texts for one, two in _NUMBERS.findall(text[:_LONGEST])]
    if any(one > 12 for one, _ in pairs):
        return False
    return True if any(two > 12 for _, two in pairs) else None


def without_date(text: str) -> str:
    """One line of text without a date that it begins with, and without the dash or colon after that."""
    match = _first_match(_folded(text))
    at_front = match is not None and match.start() <= 1 and match.end() < _LONGEST
    return text[match.end() :].lstrip(" )]|:,.·–—-") if match and at_front else text


def split_date(title: str) -> tuple[str, str] | None:
    """A title and the date before or behind it (``Version 4 (2026-11-03)``, ``3 March 2026: Version 4``), or None.

    A date that is part of a sentence is none of these: a dash, a colon or a bracket is between the two.
    """
    folded = _folded(title)
    match = _first_match(folded)
    if match is None or match.end() >= _LONGEST:
        return None
    before, after = title[: match.start()], title[match.end() :]
    if not before.strip(" [(") and re.match(r"[\])]|\s*[:–—|·-]\s", after):
        rest = after.lstrip(" )]:|·–—-")
    elif not after.strip(" )]¶#") and re.search(r"(\s[–—|·-]\s*|[(\[]|,\s*)$", before):
        rest = before.rstrip(" ([|·–—,-")
    else:
        return None
    whole = re.fullmatch(r"\[([^\[\]]+)\]", rest)
    return (whole[1] if whole else rest, match[0]) if rest else None


def _folded(text: str) -> str:
    """The beginning of a text in lower case, on one line, each letter without its accent: no position changes."""
    line = " ".join(text[:_LONGEST].split()).replace("ı", "i")
    return "".join(map(_folded_letter, line))


def _folded_letter(letter: str) -> str:
    number = unicodedata.decimal(letter, None)
    return unicodedata.normalize("NFKD", letter)[0].lower()[0] if number is None else str(number)


def _first_match(text: str, forms: Sequence[re.Pattern[str]] = _FORMS) -> re.Match[str] | None:
    if not any(map(str.isdigit, text)):
        return None
    matches = (match for form in forms for match in form.finditer(text) if _month_named(match))
    return min(matches, key=re.Match.start, default=None)


def _month_named(match: re.Match[str]) -> int:
    """Its month from 1 to 12; 0 when the word there is none.  For a form without words, anything but 0."""
    name = match.groupdict().get("name")
    return -1 if name is None else _month_called(name)


def _month_called(name: str) -> int:
    """From 1 to 12; 0 when no month is called that, or begins so."""
    return next((number for number, names in enumerate(_MONTHS, 1) if f" {name}" in f" {names}"), 0)


def _moment(match: re.Match[str], month_first: bool, year: int = 0) -> datetime:
    fields = match.groupdict()
    if era := fields.get("era"):
        year = _ERAS[era] + (1 if fields["year"] == "元" else int(fields["year"]))
    elif "year" in fields:
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
