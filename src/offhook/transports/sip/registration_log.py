"""What the log says about trunks: one line for each change."""

import structlog

from offhook.transports.sip.account import Account
from offhook.transports.sip.registration import NotRegistered, Registered, Unregistered
from offhook.transports.sip.trunk_watch import TrunkReachable, TrunkUnreachable

_log = structlog.get_logger(__name__)


def log_trunk(outcome: Registered | NotRegistered | Unregistered | TrunkReachable | TrunkUnreachable) -> None:
    """One line for each change of a trunk."""
    if isinstance(outcome, TrunkReachable | TrunkUnreachable):
        _log_watch(outcome)
    else:
        _log_registration(outcome)


def _log_registration(outcome: Registered | NotRegistered | Unregistered) -> None:
    """One line for each change of a registration."""
    account = outcome.account
    where = {"trunk": account.name, "registrar": account.place}
    if not isinstance(outcome, Unregistered) and outcome.hop is not None:
        where["server"] = str(outcome.hop)
    match outcome:
        case Registered():
            _log.info("registered", **where, expires_seconds=outcome.expires_s)
        case Unregistered():
            _log.info("unregistered", **where)
        case NotRegistered():
            _log.warning(
                "registration_lost" if outcome.lost else "registration_failed",
                **where,
                why=outcome.trouble.reason,
                remedy=outcome.trouble.remedy,
                again_in_seconds=round(outcome.again_in_ms / 1000, 1),
            )


def _log_watch(outcome: TrunkReachable | TrunkUnreachable) -> None:
    """One line for each change of a trunk without a registrar."""
    account = outcome.account
    match outcome:
        case TrunkReachable():
            _log.info("trunk_reachable", trunk=account.name, server=str(outcome.hop))
        case TrunkUnreachable():
            why, remedy = outcome.trouble.reason, outcome.trouble.remedy
            _log.warning("trunk_unreachable", trunk=account.name, place=account.place, why=why, remedy=remedy)


def log_unanswered(account: Account) -> None:
    """The service stops before the registrar has confirmed the end of the binding."""
    remedy = "None needed: the registrar forgets by itself when the time it granted is over."
    _log.warning("unregister_unanswered", trunk=account.name, remedy=remedy)
