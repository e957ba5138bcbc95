"""What the log says about what was turned away: one line a source and a minute, with the setting that would allow it.

Programs that lock addresses out (fail2ban) look for `source` and `rule`: docs/run-the-service/protection.md.
"""

from collections.abc import Iterable

import structlog

from offhook.transports.sip.refusals import REMEDIES, RefusalLine

_log = structlog.get_logger(__name__)


def log_refusals(lines: Iterable[RefusalLine]) -> None:
    """Write these lines."""
    for line in lines:
        who = {"who": line.who} if line.who else {}
        _log.warning(
            "sip_refused",
            source=line.source,
            rule=line.rule.value,
            count=line.count,
            **who,
            remedy=REMEDIES[line.rule],
        )
