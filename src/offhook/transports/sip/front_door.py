"""The front door: what a message is worth before anybody reads it, and how much each source may ask for. Pure.

`knock` comes before parsing and costs next to nothing; `takes` comes after it, for requests that begin something.
Every refusal is counted in `book`; lines for the log wait in `lines` until they are taken.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from offhook.transports.sip.admission import Admission, Source, Standing
from offhook.transports.sip.hop import Ms
from offhook.transports.sip.rate_limits import TokenBuckets
from offhook.transports.sip.refusals import RefusalBook, RefusalLine, Rule

# What is saved up in quiet times, in seconds of the rate.
BURST_SECONDS: Final = 10
# All strangers together, so that many forged addresses are worth no more than this many.
STRANGERS_TOGETHER: Final = 25
# Answers 503 to a source that is over its limit; beyond that it is not answered.
OVER_LIMIT_ANSWERS: Final = 10
OVER_LIMIT_ANSWERS_PER_SECOND: Final = 1.0
GUESSES: Final = 5
GUESSES_PER_SECOND: Final = 0.1
MAX_GUESTS: Final = 4096
NOT_REQUESTS: Final = (b"ACK ", b"SIP/")
LONGEST_KEEP_ALIVE: Final = b"\r\n\r\n"
GUEST_FOR_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Requests a second, on average, that begin something (outside of calls and of transactions): of one stranger (any
    message of a stranger counts), of one allowed address, of one address of a trunk."""

    stranger_per_second: float = 1
    source_per_second: float = 50
    trunk_per_second: float = 200


class FrontDoor:
    """Who is listened to, and how often.

    A *guest* is a stranger's address that is expected to speak: a user has signed in from there, or a request of ours
    went there. It is heard as often as an allowed one, and each of its calls has to sign in (again).
    """

    def __init__(self, admission: Admission | None = None, limits: RequestLimits | None = None) -> None:
        self.admission: Final = admission or Admission()
        self.book: Final = RefusalBook()
        self.lines: Final[list[RefusalLine]] = []
        limits = limits or RequestLimits()
        one, together = limits.stranger_per_second, limits.stranger_per_second * STRANGERS_TOGETHER
        self._strangers = _buckets(one)
        self._all_strangers = _buckets(together)
        self._allowed = _buckets(limits.source_per_second)
        self._trunks = _buckets(limits.trunk_per_second)
        self._answers = TokenBuckets(OVER_LIMIT_ANSWERS_PER_SECOND, OVER_LIMIT_ANSWERS)
        self._guesses = TokenBuckets(GUESSES_PER_SECOND, GUESSES)
        self._guests: OrderedDict[str, Ms] = OrderedDict()

    def knock(self, data: bytes, host: str, now: Ms) -> Source | None:
        """Where a message came from when it is to be read; None when it is dropped, which has been counted.

        Of a stranger only requests are of any use; ACKs, responses and keep-alives are dropped and not counted.
        """
        source = self.admission.source(host)
        if source.may_call:
            return source
        if source.standing is Standing.DENIED:
            self.refuse(host, Rule.DENIED, now)
            return None
        if self._is_guest(source.site, now):
            return source
        if data.startswith(NOT_REQUESTS) or len(data) <= len(LONGEST_KEEP_ALIVE):
            return None
        if self._strangers.take(source.site, now) and self._all_strangers.take("", now):
            return source
        self.refuse(host, Rule.STRANGER, now)
        return None

    def expects(self, host: str, now: Ms) -> bool:
        """Whether this address may call, or is a guest's."""
        source = self.admission.source(host)
        return source.may_call or (source.standing is Standing.STRANGER and self._is_guest(source.site, now))

    def takes(self, source: Source, now: Ms) -> bool:
        """Whether this source may begin something once more; if so, that is counted. A stranger has been at `knock`."""
        if source.standing is Standing.OUR_PROXY:
            return True
        if source.standing is Standing.TRUNK:
            return self._trunks.take(source.site, now)
        if source.may_call or self._is_guest(source.site, now):
            return self._allowed.take(source.site, now)
        return True

    def answers(self, source: Source, now: Ms) -> bool:
        """Whether a source that is over its limit is told so."""
        return self._answers.take(source.site, now)

    def refuse(self, host: str, rule: Rule, now: Ms, who: str = "") -> None:
        """Count a refusal."""
        line = self.book.note(host, rule, now, who)
        if line is not None:
            self.lines.append(line)

    def take_lines(self) -> list[RefusalLine]:
        """The lines that the log has not had yet."""
        if not self.lines:
            return []
        taken = self.lines.copy()
        self.lines.clear()
        return taken

    # --- who signs in

    def may_guess(self, source: Source, now: Ms) -> bool:
        """Whether credentials from this source are looked at: after some wrong ones they are not, for a while."""
        return self._guesses.has(source.site, now)

    def guessed_wrong(self, source: Source, now: Ms) -> None:
        """Credentials from this source were wrong."""
        self._guesses.take(source.site, now)

    def expect(self, host: str, now: Ms) -> None:
        """A request of ours goes there: answers and what follows are welcome."""
        source = self.admission.source(host)
        if source.standing is Standing.STRANGER:
            self.welcome(source, now)

    def welcome(self, source: Source, now: Ms) -> None:
        """This stranger is a guest from now on."""
        self._guests[source.site] = now + GUEST_FOR_MS
        self._guests.move_to_end(source.site)
        if len(self._guests) > MAX_GUESTS:
            self._guests.popitem(last=False)

    def _is_guest(self, site: str, now: Ms) -> bool:
        return self._guests.get(site, now) > now


def _buckets(per_second: float) -> TokenBuckets:
    return TokenBuckets(per_second, max(1.0, per_second * BURST_SECONDS) if per_second else 0)
