"""Why a registration does not stand, what to do about it, and how long to wait before another attempt."""

from dataclasses import dataclass
from typing import Final

from offhook.transports.sip.account import Account
from offhook.transports.sip.hop import ConnectionTrouble, Hop, host_and_port

# Seconds before the next attempts. A registrar that is down is back soon: at most 25 s with the jitter (25 %).
WHEN_SILENT: Final = (2, 4, 8, 16, 20)
# A registrar that is busy.
WHEN_FAILING: Final = (10, 20, 40, 80, 160, 300)
# A refusal stays one until somebody changes something; registrars lock out who insists.
WHEN_REFUSED: Final = (60, 120, 300, 600, 1800)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One failure. `try_elsewhere`: another server of the registrar's may do better (RFC 3263 4.3)."""

    reason: str
    remedy: str
    waits_s: tuple[int, ...] = WHEN_SILENT
    try_elsewhere: bool = False


def unreachable(account: Account, reason: str) -> Trouble:
    """No way there."""
    remedy = f"Is trunk[{account.name}].registrar right ({account.place})? Is a firewall between?"
    return Trouble(f"the registrar cannot be reached: {reason}", remedy, try_elsewhere=True)


def disconnected(trouble: ConnectionTrouble) -> Trouble:
    """A connection that broke, or could not be made."""
    return Trouble(f"the registrar cannot be reached: {trouble.reason}", trouble.remedy, try_elsewhere=True)


def no_answer(account: Account, hop: Hop) -> Trouble:
    """Nothing came back."""
    remedy = (
        f"Does {host_and_port(*hop.address)} take SIP over {hop.transport.upper()}? Is a firewall between? "
        "Behind NAT, set sip.advertise."
    )
    return Trouble("the registrar does not answer", remedy, try_elsewhere=True)


def wrong_credentials(account: Account) -> Trouble:
    """The password does not belong to the user."""
    remedy = f"Correct trunk[{account.name}].username, auth_username and password."
    return Trouble("the registrar refuses username and password", remedy, WHEN_REFUSED)


def refused(account: Account, status: int) -> Trouble:
    """Any other final answer."""
    reason = f"the registrar answers {status}"
    section = f"trunk[{account.name}]"
    match status:
        case 401 | 407:
            said = "and asks for a way to authenticate that is not known here"
            return Trouble(f"{reason} {said}", "Ask the carrier for digest with MD5 or SHA-256.", WHEN_REFUSED)
        case 403:
            return Trouble(reason, f"Is the account of {section} active? Is its password right?", WHEN_REFUSED)
        case 404 | 604:
            return Trouble(reason, f"Correct {section}.username: the registrar does not know it.", WHEN_REFUSED)
        case 423:
            return Trouble(reason, f"Raise {section}.expires_seconds.", WHEN_REFUSED)
        case _ if 300 <= status < 400:
            return Trouble(reason, f"Correct {section}.registrar: the account is elsewhere.", WHEN_REFUSED)
        case _ if status in {408, 429, 480} or status == 500 or 502 <= status < 600:
            return Trouble(reason, "The carrier has a problem; it is tried again by itself.", WHEN_FAILING, True)
        case _:
            return Trouble(
                reason, f"Correct {section}; the carrier's support knows what this answer means.", WHEN_REFUSED
            )
