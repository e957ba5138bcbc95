"""Whether a request may begin something here, and as whose: a trunk's, an allowed source's, a user's. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from offhook.transports.sip.admission import Source
from offhook.transports.sip.caller_identity import called_number, readable
from offhook.transports.sip.digest_server import OFFERED, DigestServer, Proof
from offhook.transports.sip.front_door import FrontDoor
from offhook.transports.sip.hop import Flow, Ms
from offhook.transports.sip.message import SipRequest
from offhook.transports.sip.refusals import Rule
from offhook.transports.sip.request_checks import Refusal
from offhook.transports.sip.user import Identity, User, identity_of

RETRY_WHEN_OVER_LIMIT_SECONDS: Final = 5
MAX_NAME_CHARS: Final = 64
MAX_METHOD_CHARS: Final = 16


@dataclass(frozen=True, slots=True)
class Entered:
    """It may go on. `trunk`: whose address it came from; `identity`: who signed in, None where nobody had to."""

    trunk: str | None = None
    identity: Identity | None = None


class Entrance:
    """What stands between the front door and the user agent. Strangers' calls are taken from `users` only, who are
    challenged by these `algorithms` (see DigestServer)."""

    def __init__(self, door: FrontDoor, users: Sequence[User] = (), algorithms: Sequence[str] = OFFERED) -> None:
        self._door = door
        self._users = {user.name: user for user in users}
        self._digest = DigestServer({user.name: user.password for user in users}, algorithms=algorithms)

    def judge(self, request: SipRequest, flow: Flow, source: Source, now: Ms) -> Entered | Refusal | None:
        """Let a request in that belongs to no transaction and no call, or refuse it; None: it gets no answer."""
        host = flow.remote[0]
        if not self._door.takes(source, now):
            self._door.refuse(host, Rule.RATE, now)
            headers = (("Retry-After", str(RETRY_WHEN_OVER_LIMIT_SECONDS)),)
            return Refusal(503, "Too many requests", headers) if self._door.answers(source, now) else None
        if source.may_call:
            return Entered(source.trunk)
        if self._users and request.method == "INVITE" and request.defect is None and not request.to_tag:
            return self._sign_in(request, host, source, now)
        self._door.refuse(host, Rule.STRANGER, now, readable(request.method)[:MAX_METHOD_CHARS])
        return Refusal(403, "Not allowed from here")

    def _sign_in(self, invite: SipRequest, host: str, source: Source, now: Ms) -> Entered | Refusal | None:
        """Ask who it is (RFC 3261 22.1), or take the answer to that."""
        if not self._door.may_guess(source, now):
            self._door.refuse(host, Rule.RATE, now, "after wrong passwords")
            return None
        proof, name = self._digest.check(invite, source.site, now)
        if proof is Proof.WRONG:
            self._door.guessed_wrong(source, now)
            self._door.refuse(host, Rule.WRONG_PASSWORD, now, readable(name)[:MAX_NAME_CHARS])
        if proof is not Proof.RIGHT:
            return Refusal(401, None, self._digest.challenges(source.site, now, stale=proof is Proof.STALE))
        self._door.welcome(source, now)
        user = self._users[name]
        identity = identity_of(invite, user)
        if identity is None:
            self._door.refuse(host, Rule.CALLER_NUMBER, now, name)
            return Refusal(403, "This is not your number")
        if not user.may_call(called_number(invite)):
            self._door.refuse(host, Rule.CALLED_NUMBER, now, name)
            return Refusal(403, "You may not call this number")
        return Entered(None, identity)

    def refusal_of_one_more(self, identity: Identity, in_progress: int, flow: Flow, now: Ms) -> Refusal | None:
        """Why a user with so many calls in progress gets no further one; None when it does."""
        if in_progress < self._users[identity.user].max_calls:
            return None
        self._door.refuse(flow.remote[0], Rule.USER_CALLS, now, identity.user)
        return Refusal(486, "You have too many calls")
