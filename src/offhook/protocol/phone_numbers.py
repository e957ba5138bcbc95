"""Phone numbers in one form: E.164 with a leading `+` (contract D2). Rules of dialling, no directory of numbers."""

import re
from typing import Final, Literal, TypeAlias

NumberFormat: TypeAlias = Literal["e164", "digits"]

_SEPARATORS = re.compile(r"[\s()/.\-\u00a0\u2010-\u2015]")
_DIALLED = re.compile(r"\+?[0-9]{2,20}")
_KEYS = re.compile(r"[0-9*#]{2,8}")
_ADDRESS = re.compile(r"\s*(sips?|tel):[^\s@<>]", re.IGNORECASE)
_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
_SHORTEST_FOREIGN: Final = 8
"""Digits without `+` that are at least this long are read as E.164 without its `+`; shorter ones as a local number."""

# ISO 3166 country: its calling code and the trunk prefix of its national form (ITU-T E.164, national numbering plans).
_COUNTRIES: Final[dict[str, tuple[str, str]]] = {
    "AE": ("971", "0"), "AR": ("54", "0"), "AT": ("43", "0"), "AU": ("61", "0"), "BE": ("32", "0"), "BG": ("359", "0"),
    "BR": ("55", "0"), "CA": ("1", "1"), "CH": ("41", "0"), "CL": ("56", ""), "CN": ("86", "0"), "CO": ("57", "0"),
    "CY": ("357", ""), "CZ": ("420", ""), "DE": ("49", "0"), "DK": ("45", ""), "EE": ("372", ""), "EG": ("20", "0"),
    "ES": ("34", ""), "FI": ("358", "0"), "FR": ("33", "0"), "GB": ("44", "0"), "GR": ("30", ""), "HK": ("852", ""),
    "HR": ("385", "0"), "HU": ("36", "06"), "ID": ("62", "0"), "IE": ("353", "0"), "IL": ("972", "0"),
    "IN": ("91", "0"),
    "IS": ("354", ""), "IT": ("39", ""), "JP": ("81", "0"), "KR": ("82", "0"), "LI": ("423", ""), "LT": ("370", "0"),
    "LU": ("352", ""), "LV": ("371", ""), "MA": ("212", "0"), "MT": ("356", ""), "MX": ("52", ""), "MY": ("60", "0"),
    "NG": ("234", "0"), "NL": ("31", "0"), "NO": ("47", ""), "NZ": ("64", "0"), "PE": ("51", "0"), "PH": ("63", "0"),
    "PK": ("92", "0"), "PL": ("48", ""), "PT": ("351", ""), "RO": ("40", "0"), "RS": ("381", "0"), "SA": ("966", "0"),
    "SE": ("46", "0"), "SG": ("65", ""), "SI": ("386", "0"), "SK": ("421", "0"), "TH": ("66", "0"), "TR": ("90", "0"),
    "TW": ("886", "0"), "UA": ("380", "0"), "US": ("1", "1"), "VN": ("84", "0"), "ZA": ("27", "0"),
}  # fmt: skip


def is_phone_number(text: str) -> bool:
    """Whether this can be dialled once separators are gone: E.164 with or without `+`, national, or short."""
    return _DIALLED.fullmatch(_SEPARATORS.sub("", text)) is not None


def can_be_called(text: str) -> bool:
    """Whether this has the shape of somebody to call: a phone number, keys such as `*97`, or a `sip:`, `sips:` or
    `tel:` address. Who may be called is the service's affair."""
    return is_phone_number(text) or _KEYS.fullmatch(text.strip()) is not None or _ADDRESS.match(text) is not None


def normalized(text: str, default_country: str | None = None) -> str:
    """The number as E.164 where the rules of dialling tell which one it is, else its bare digits; what is no number
    (`anonymous`) comes back as it is.

    Args:
        text: with or without `+`, `00` in front, separators, or national with the trunk prefix of `default_country`.
        default_country: ISO 3166 code (`DE`) or calling code (`49`) of the flow. With one whose rules are not known
            here, digits without `+` or `00` stay as they are.
    """
    dialled = _SEPARATORS.sub("", text.strip().replace("(0)", "") if "+" in text else text.strip())
    if not _DIALLED.fullmatch(dialled):
        return text.strip()
    if dialled.startswith("+"):
        return dialled
    code, trunk = _country(default_country)
    if dialled.startswith("00"):
        return f"+{dialled[2:]}" if _E164.fullmatch(f"+{dialled[2:]}") else dialled
    if default_country and not code:
        return dialled
    if code == "1":
        return f"+1{dialled}" if len(dialled) == 10 else _foreign(dialled)
    if code and trunk and dialled.startswith(trunk):
        return f"+{code}{dialled.removeprefix(trunk)}"
    if code and not trunk and not dialled.startswith(code) and len(dialled) >= 7:
        return f"+{code}{dialled}"
    return _foreign(dialled)


def as_sent(number: str, number_format: NumberFormat) -> str:
    """An E.164 number as the flow wants it in its events (D2)."""
    return number.removeprefix("+") if number_format == "digits" else number


def _foreign(dialled: str) -> str:
    return f"+{dialled}" if len(dialled) >= _SHORTEST_FOREIGN and _E164.fullmatch(f"+{dialled}") else dialled


def _country(name: str | None) -> tuple[str, str]:
    if not name:
        return "", ""
    named = _COUNTRIES.get(name.strip().upper())
    if named:
        return named
    code = name.strip().removeprefix("+")
    return next((entry for entry in _COUNTRIES.values() if entry[0] == code), ("", ""))
