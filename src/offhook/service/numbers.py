"""Phone numbers as people, apps and carriers write them, read as the numbers that they are (contract D2).

Numbering plans are those of `phonenumbers`. What is dialled is always written anew from what was read here, so that
the number that the guards have judged is the number that is called.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

import phonenumbers
from phonenumbers import CountryCodeSource, NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from offhook.protocol.phone_numbers import normalized

DialFormat: TypeAlias = Literal["e164", "digits", "international", "national"]

# RFC 3966, section 3 (visual separators), and what people write beside them.
_SEPARATORS = re.compile(r"[\s()/.\-\u00a0\u2010-\u2015\u2212]")
_DIGITS = re.compile(r"[0-9]+")
_GLOBAL = re.compile(r"\+[1-9][0-9]{5,14}")
_KEYS = re.compile(r"[0-9*#]{1,8}")
_NAME = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.?)+|\[[0-9a-f:.]+\]")
LONGEST_EXTENSION: Final = 6
"""Digits without `+` and without a prefix that are at most this many are an extension or a short number."""
EMERGENCY_EVERYWHERE: Final = frozenset({"112", "911"})
"""Reached from mobile networks of every country (3GPP TS 22.101, section 10.1)."""


@dataclass(frozen=True, slots=True)
class Public:
    """A number of the public network, E.164 with `+`."""

    number: str


@dataclass(frozen=True, slots=True)
class Local:
    """An extension, a short number (`110`, `*97`) or a name (`alice`): what it reaches, the trunk alone knows."""

    name: str


@dataclass(frozen=True, slots=True)
class Address:
    """A whole SIP address, without parameters: `sip:` or `sips:`, then `user` at `host` (with its port). `number`: the
    user as a number of the public network, where it is one."""

    scheme: str
    user: str
    host: str
    number: str | None

    def __str__(self) -> str:
        user = self.number or self.user
        return f"{self.scheme}:{user}@{self.host}" if user else f"{self.scheme}:{self.host}"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No number that could be called: `why`, and what to write instead."""

    written: str
    why: str
    remedy: str


Target: TypeAlias = Public | Local | Address | Unreadable


def read_target(written: str, country: str | None) -> Target:
    """Whom this means: a number in any spelling, an extension, a name, or a `sip:`, `sips:` or `tel:` address.

    Args:
        country: ISO 3166 code (`DE`) or calling code (`49`), by which national forms are read.
    """
    text = "".join(map(_ascii_digit, written.strip()))
    scheme, colon, rest = text.partition(":")
    match scheme.lower() if colon else "":
        case "":
            return _dialled(text, country)
        case "tel":
            number, _, parameters = rest.partition(";")
            return _in_context(_decoded(number), parameters, country)
        case "sip" | "sips" as known:
            return _address(known, rest, country)
        case _:
            return Unreadable(readable(written), "it is no number and no SIP address.", _WRITE_E164)


def e164(written: str, country: str | None) -> str | None:
    """The number of the public network that this is, if it is one."""
    read = read_target(written, country)
    return read.number if isinstance(read, Public | Address) else None


def readings(written: str, country: str | None) -> tuple[str, ...]:
    """Every number or name that a network may mean by this user part, the likeliest first, without case. A number that
    no plan knows is among them as it is written."""
    read = read_target(written, country)
    likeliest = read.number if isinstance(read, Public) else read.name if isinstance(read, Local) else None
    plain = normalized(written, country)
    found = [likeliest, plain, _national_reading(written, country), written.strip()]
    return tuple(dict.fromkeys(one.lower() for one in found if one))


def as_dialled(number: str, dial_format: DialFormat, country: str | None) -> str:
    """An E.164 number as a trunk writes it. National form is for valid numbers of the trunk's own country only, and
    only where it can be read back: what is not in a plan could begin with the prefix of another network."""
    digits = number.removeprefix("+")
    match dial_format:
        case "e164":
            return number
        case "digits":
            return digits
        case "international":
            return f"00{digits}"
        case "national":
            return _national(number, country) or f"00{digits}"


def is_emergency(name: str, *countries: str | None) -> bool:
    """Whether these digits call for help in one of these countries, also behind zeros (a prefix for outside lines)."""
    digits = name.lstrip("0")
    if name in EMERGENCY_EVERYWHERE or digits in EMERGENCY_EVERYWHERE:
        return True
    regions = {region for country in countries if (region := region_of(country)) is not None}
    return any(phonenumbers.is_emergency_number(one, region) for one in {name, digits} for region in regions)


def is_emergency_in_its_country(number: str) -> bool:
    """Whether an E.164 number is an emergency number behind its country's calling code (`+49110`)."""
    parsed = _parsed(number, None)
    if parsed is None:
        return False
    regions = phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    return is_emergency(phonenumbers.national_significant_number(parsed), *regions)


@cache
def region_of(country: str | None) -> str | None:
    """The ISO 3166 code of a country that is named by it (`de`) or by its calling code (`49`, `+49`); None: unknown."""
    if not country:
        return None
    name = country.strip().upper()
    if name in phonenumbers.SUPPORTED_REGIONS:
        return name
    code = name.removeprefix("+")
    region = phonenumbers.region_code_for_country_code(int(code)) if _DIGITS.fullmatch(code) else "ZZ"
    return region if region in phonenumbers.SUPPORTED_REGIONS else None


def has_whole_calling_code(prefix: str) -> bool:
    """Whether digits behind a `+` name at least one country or network: not `+`, not `+4`."""
    digits = prefix.removeprefix("+")
    return any(digits.startswith(str(code)) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def readable(text: str) -> str:
    """On one line, without control characters, and short enough for a line of a log."""
    printable = "".join(character for character in text if character.isprintable())
    return printable if len(printable) <= 80 else f"{printable[:79]}…"


_WRITE_E164: Final = 'Write the number with its country: "+49…".'


def _dialled(text: str, country: str | None) -> Target:
    keys = _without_separators(text)
    if keys.startswith("+") or _DIGITS.fullmatch(keys):
        return _number(keys, country)
    if _KEYS.fullmatch(keys):
        return Local(keys)
    if _NAME.fullmatch(text) and any(character.isalpha() for character in text):
        return Local(text.lower())
    return Unreadable(readable(text), "it is no number, no extension and no name.", _WRITE_E164)


def _number(keys: str, country: str | None) -> Target:
    """`+` and digits, or digits alone."""
    region = region_of(country)
    if keys.startswith(("+", "00")):
        return _global(keys, region)
    is_prefixed = keys.startswith("0") and len(keys) > 1
    if len(keys) <= LONGEST_EXTENSION and not is_prefixed and not _is_valid(_parsed(keys, region)):
        return Local(keys)
    if region is not None:
        found = _in_plan(keys, region)
        if found is not None:
            return Public(found)
    if keys.startswith("0"):
        why = "it is in national form, and no country says which one."
        if region is not None:
            why = f"it is no number of {region}."
        return Unreadable(keys, why, f"Set default_country of the flow or the trunk, or: {_WRITE_E164}")
    found = _canonical(f"+{keys}", None) if len(keys) > LONGEST_EXTENSION + 1 else None
    if found is None:
        return Unreadable(keys, "it is too long for an extension, and no number of the public network.", _WRITE_E164)
    return Public(found)


def _global(keys: str, region: str | None) -> Target:
    abroad = _behind_exit_code(keys, region) if region is not None and not keys.startswith("+") else None
    found = abroad or _canonical(f"+{keys.removeprefix('+') if keys.startswith('+') else keys[2:]}", None)
    if found is None:
        return Unreadable(readable(keys), "no country has such numbers.", _WRITE_E164)
    return Public(found)


def _behind_exit_code(keys: str, region: str) -> str | None:
    """The number behind what this country dials for calls abroad (`0011` in Australia), if it begins so."""
    try:
        parsed = phonenumbers.parse(keys, region, keep_raw_input=True)
    except NumberParseException:
        return None
    if parsed.country_code_source != CountryCodeSource.FROM_NUMBER_WITH_IDD:
        return None
    return _canonical(phonenumbers.format_number(parsed, PhoneNumberFormat.E164), None)


def _in_plan(keys: str, region: str) -> str | None:
    """Digits without `+` as somebody in this country dials them, or as a network writes E.164 without its `+`."""
    without_plus = _parsed(f"+{keys}", None)
    own_code = str(phonenumbers.country_code_for_region(region))
    prefix = _national_prefix(region)
    national = _canonical(keys, region)
    is_national = _is_valid(_parsed(keys, region))
    if prefix and keys.startswith(prefix):
        return national
    if keys.startswith(own_code) and _is_valid(without_plus):
        return _canonical(f"+{keys}", None)
    if is_national and not (prefix == "0" and _is_valid(without_plus)):
        return national
    return _canonical(f"+{keys}", None) if _is_valid(without_plus) else national if is_national else None


def _national_reading(written: str, country: str | None) -> str | None:
    region = region_of(country)
    keys = _without_separators(written)
    return _canonical(keys, region) if region is not None and _DIGITS.fullmatch(keys) else None


def _in_context(number: str, parameters: str, country: str | None) -> Target:
    """A `tel:` number, or the user of a SIP address, with its parameters (RFC 3966, section 5.1)."""
    context = next(
        (value for name, _, value in (one.partition("=") for one in parameters.split(";")) if _is_context(name)), ""
    )
    keys = _without_separators(number)
    scope = _without_separators(_decoded(context))
    if not scope.startswith("+") or keys.startswith(("+", "00")) or not _DIGITS.fullmatch(keys):
        return _dialled(number, country)
    if keys.startswith("0"):
        code = next((scope[1:n] for n in (2, 3, 4) if region_of(scope[1:n]) is not None), None)
        return _number(keys, code)
    return _global(f"{scope}{keys}", None)


def _is_context(name: str) -> bool:
    return name.strip().lower() == "phone-context"


def _address(scheme: str, rest: str, country: str | None) -> Target:
    userinfo, at, where = rest.rpartition("@")
    host = re.split(r"[;?]", where if at else rest, maxsplit=1)[0].strip().lower()
    raw, _, parameters = userinfo.partition(";")
    user = _decoded(raw)
    bare, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "5060")
    written = readable(f"{scheme}:{rest}")
    if not _HOST.fullmatch(bare) or not _DIGITS.fullmatch(port) or int(port) > 65535:
        return Unreadable(written, "it names no host.", 'Write it as "sip:alice@pbx.example".')
    if not user:
        return Address(scheme, "", host, None)
    read = _in_context(user, parameters, country)
    match read:
        case Public(number):
            return Address(scheme, number, host, number)
        case Local(name):
            return Address(scheme, user if name == user.lower() else name, host, None)
        case _:
            return Unreadable(written, "its user is no number, no extension and no name.", 'Write "sip:alice@…".')


# --- spellings


def _ascii_digit(character: str) -> str:
    """Digits of other scripts as those that a telephone has."""
    decimal = unicodedata.decimal(character, None)
    return character if decimal is None else str(decimal)


def _without_separators(text: str) -> str:
    return _SEPARATORS.sub("", text.replace("(0)", "") if "+" in text else text)


def _decoded(user: str) -> str:
    """Percent-encoding undone (RFC 3261, section 19.1.2), and what it may hide with it."""
    return "".join(map(_ascii_digit, unquote(user, errors="replace")))


# --- numbering plans


@lru_cache(maxsize=2048)
def _parsed(text: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except NumberParseException:
        return None


@lru_cache(maxsize=2048)
def _canonical(text: str, region: str | None) -> str | None:
    """E.164; None: it is none. Prefixes that do not belong into it are taken off until it stays as it is."""
    for _ in range(20):
        parsed = _parsed(text, region)
        if parsed is None:
            return None
        found, text, region = text, phonenumbers.format_number(parsed, PhoneNumberFormat.E164), None
        if found == text:
            return text if _GLOBAL.fullmatch(text) else None
    return None


def _is_valid(parsed: PhoneNumber | None) -> bool:
    return parsed is not None and phonenumbers.number_type(parsed) != PhoneNumberType.UNKNOWN


def _national_prefix(region: str) -> str:
    return phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) or ""


def _national(number: str, country: str | None) -> str | None:
    region, parsed = region_of(country), _parsed(number, None)
    if region is None or parsed is None or not _is_valid(parsed):
        return None
    if parsed.country_code != phonenumbers.country_code_for_region(region):
        return None
    written = _without_separators(phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL))
    return written if _DIGITS.fullmatch(written) and _canonical(written, region) == number else None
