"""Numbers that cost more than a call, or that fraud is made with: denied unless a setting lists just them.

Types are those of `phonenumbers`. Networks without a country: ITU-T, List of Recommendation E.164 assigned country
codes (annex to the Operational Bulletin). Islands behind +1: NANPA, area codes in service outside the United States
and Canada; the United States' FCC names them in its warning of one-ring scams.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType

from offhook.calls.dial_guard import SpecialRange

SATELLITE: Final = "satellite"
NO_SUBSCRIBERS: Final = "no_subscribers"
NORTH_AMERICA: Final = 1

NETWORKS: Final = (
    *(SpecialRange(f"+87{digit}", SATELLITE, "satellite telephony (Inmarsat)") for digit in range(8)),
    SpecialRange("+878", "global_service", "universal personal numbers"),
    SpecialRange("+879", "global_service", "reserved for networks without a country"),
    SpecialRange("+881", SATELLITE, "satellite telephony (Iridium, Globalstar)"),
    SpecialRange("+882", "global_service", "international networks, satellite ones among them"),
    SpecialRange("+883", "global_service", "international networks"),
    SpecialRange("+888", "global_service", "networks without a country"),
    SpecialRange("+808", "shared_cost", "international shared-cost numbers"),
    SpecialRange("+979", "premium_rate", "international premium-rate numbers"),
    SpecialRange("+991", "global_service", "trials of international services"),
)

_ISLANDS: Final = (
    *("242", "246", "264", "268", "284", "345", "441", "473", "649", "658", "664", "721", "758", "767", "784"),
    *("809", "829", "849", "868", "869", "876"),
)
ISLANDS: Final = tuple(
    SpecialRange(f"+1{area}", "island", "an island behind +1, which is charged as a call abroad") for area in _ISLANDS
)

_BY_PREFIX: Final = {special.prefix: special for special in (*NETWORKS, *ISLANDS)}

_TYPES: Final = {
    PhoneNumberType.PREMIUM_RATE: ("premium_rate", "a premium-rate number"),
    PhoneNumberType.SHARED_COST: ("shared_cost", "a shared-cost number"),
    PhoneNumberType.PERSONAL_NUMBER: ("personal_number", "a personal number, which may cost as much as premium rate"),
    PhoneNumberType.PAGER: ("pager", "a pager"),
}


@lru_cache(maxsize=8192)
def special_range(number: str) -> SpecialRange | None:
    """The denied range that an E.164 number lies in; None: it is an ordinary number.

    A number that begins as no subscriber's does lies in such a range too (`+49118…`: directory enquiries, which charge
    what they like). One of no known length is taken for one of the numbers that it begins like, or that begin like it:
    networks route by the first digits.
    """
    known = next((_BY_PREFIX[number[:n]] for n in (5, 4) if number[:n] in _BY_PREFIX), None)
    if known is not None:
        return known
    parsed = phonenumbers.parse(number)
    if parsed.country_code == NORTH_AMERICA and number[5:8] == "976":
        # An exchange for premium rate in most areas; no numbering plan of today has it as a type.
        return SpecialRange(number[:8], "premium_rate", "a premium-rate exchange (976)")
    code, national = parsed.country_code or 0, phonenumbers.national_significant_number(parsed)
    kind = _special_type(code, national)
    if kind is None and _type(code, national) != PhoneNumberType.UNKNOWN:
        return None
    begin = _range_of(code, national)
    if kind is None:
        # Only what begins as no subscriber's number does: directory enquiries, services, codes of other carriers.
        return (
            SpecialRange(f"+{code}{begin}", NO_SUBSCRIBERS, "no subscriber's number, but a service's")
            if begin != national
            else None
        )
    rule, what = _TYPES[kind]
    return SpecialRange(f"+{code}{begin}", rule, what)


def _special_type(code: int, national: str) -> int | None:
    own = _type(code, national)
    if own != PhoneNumberType.UNKNOWN:
        return own if own in _TYPES else None
    types = {_type(code, other) for other in _of_other_lengths(code, national)}
    return next((kind for kind in _TYPES if kind in types), None)


def _of_other_lengths(code: int, national: str) -> Iterator[str]:
    for length in _lengths(code):
        if length <= len(national):
            yield national[:length]
        else:
            for digit in "0123456789":
                yield national + digit * (length - len(national))


def _range_of(code: int, national: str) -> str:
    """The first digits that no ordinary number shares; behind +1 the area code."""
    if code == NORTH_AMERICA:
        return national[:3]
    return next((national[:n] for n in range(1, len(national)) if not _has_ordinary(code, national[:n])), national)


@cache
def _has_ordinary(code: int, begin: str) -> bool:
    """Whether ordinary numbers begin so. Tried are each two digits that may follow, with some tails, in each length."""
    tails = [length - len(begin) - 2 for length in _lengths(code) if length >= len(begin) + 2]
    return any(
        _is_ordinary(code, f"{begin}{following:02d}{digit * tail}")
        for tail in tails
        for following in range(100)
        for digit in "258"
    )


@cache
def _lengths(code: int) -> tuple[int, ...]:
    """How many digits the numbers of a country may have, behind its calling code."""
    region = phonenumbers.region_code_for_country_code(code)
    plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    return () if plan is None or plan.general_desc is None else plan.general_desc.possible_length


def _is_ordinary(code: int, national: str) -> bool:
    return _type(code, national) not in {*_TYPES, PhoneNumberType.UNKNOWN}


def _type(code: int, national: str) -> int:
    zeros = len(national) - len(national.lstrip("0"))
    if zeros == len(national):
        return PhoneNumberType.UNKNOWN
    return phonenumbers.number_type(
        PhoneNumber(
            country_code=code,
            national_number=int(national),
            italian_leading_zero=zeros > 0,
            number_of_leading_zeros=zeros or None,
        )
    )
