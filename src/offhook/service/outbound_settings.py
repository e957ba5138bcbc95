"""The settings of calls that the service places: whom flows may call, and how often."""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from offhook.service.numbers import Public, Unreadable, has_whole_calling_code, read_target
from offhook.service.setting_section import Section, limit
from offhook.service.setting_types import Listed

REFUSED: Final = "offhook_dials_refused_total"
_PREFIX = re.compile(r"\+[0-9]{1,15}")
_EXTENSION = re.compile(r"[0-9*#xX]{1,8}")
_PATTERN = re.compile(r"sips?:([A-Za-z0-9+._~*-]+@)?(\*\.)?[a-z0-9*\[][a-z0-9._:\]-]*", re.IGNORECASE)


def checked_callee(entry: str) -> str:
    """An entry of `allow` or `deny`, without separators."""
    written = entry.strip()
    if written.startswith("+"):
        prefix = re.sub(r"[\s()/.\-]", "", written).removesuffix("*")
        if not _PREFIX.fullmatch(prefix):
            _refuse(f"'{entry}' is no prefix of a number.", 'Write it as "+49" or "+4921155660".')
        if not has_whole_calling_code(prefix):
            _refuse(
                f"'{entry}' is less than the calling code of a country.",
                'Write one entry for each country, such as "+49".',
            )
        return prefix
    if written.lower().startswith(("sip:", "sips:")):
        if not _PATTERN.fullmatch(written):
            _refuse(f"'{entry}' is no SIP address.", 'Write it as "sip:*@pbx.example" or "sip:alice@pbx.example".')
        return written
    if _EXTENSION.fullmatch(written):
        return written
    read = read_target(written, None)
    if isinstance(read, Public | Unreadable):
        _refuse(f"'{entry}' is no extension, and lacks the + of a number.", 'Write numbers with their country: "+49".')
    return written


def checked_caller_id(entry: str) -> str:
    """An entry of `caller_ids`, without separators."""
    written = re.sub(r"[\s()/.\-]", "", entry)
    if not re.fullmatch(r"\*|\+[0-9]{1,15}\*?|[A-Za-z0-9_]{1,32}", written):
        _refuse(f"'{entry}' is no number to call from.", 'Write "+4921155660", "+49211556*", or "*" for any.')
    return written


def _refuse(problem: str, remedy: str) -> None:
    raise PydanticCustomError("setting", "{problem}", {"problem": problem, "remedy": remedy})


Callees: TypeAlias = Annotated[str, AfterValidator(checked_callee)]
CallerId: TypeAlias = Annotated[str, AfterValidator(checked_caller_id)]


class Outbound(Section):
    """Calls that flows place: transfers, and calls by the REST API. Nobody may be called who is not listed here."""

    allow: Listed[Callees] = ()
    """Whom flows may call: numbers that begin so (`+49`), extensions (`100`, or `1xx`: x is a digit), names, and SIP
    addresses (`sip:*@pbx.example`). Of this and `deny`, the longer entry that fits counts. Premium rate, shared cost,
    satellites and other numbers that fraud is made with need an entry of their own (`+49900`), emergency numbers too
    (`112`)."""
    deny: Listed[Callees] = ()
    """Whom they may not call, in the same spelling."""
    calls_per_session: int = limit(10, metric=REFUSED, ge=0, le=1000)
    """Calls that may be placed within one session: its transfers, one after the other."""
    concurrent: int = limit(20, metric=REFUSED, ge=0, le=2000)
    """Calls that a flow has placed and that are in progress."""
    calls_per_minute: int = limit(30, metric=REFUSED, ge=0, le=10000)
    """Calls that a flow may place within one minute."""
    calls_per_day: int = limit(1000, metric=REFUSED, ge=0, le=100000)
    """Calls that a flow may place within 24 hours."""


class FlowOutbound(Section):
    """Whom this flow may call, where it is not as `[outbound]` says."""

    allow: Listed[Callees] | None = None
    """In the place of `outbound.allow`. None: as there."""
    deny: Listed[Callees] | None = None
    """In the place of `outbound.deny`. None: as there."""
