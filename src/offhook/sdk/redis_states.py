"""State of sessions in Redis, for serverless functions and several workers (extra `redis`).

Everything of one session lies under one hash tag: `line` (who waits, by arrival), `leases` (until when each is
believed to be alive), `state`, `talk`, and an inbox for each event that waits or works, in which the others write what
concerns it. A worker that dies loses its place when its lease is over. Time is the server's own.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from offhook.errors import ExtraMissing
from offhook.sdk.history import MOST_NOTES, Note, was_cut
from offhook.sdk.session_lines import FORGOTTEN_AFTER_SECONDS
from offhook.sdk.shared_states import Arriving, StateUnavailable

LEASE_SECONDS: Final = 15.0
MOST_CONNECTIONS: Final = 200
STEPS_AT_ONCE: Final = 32
LONGEST_STATE: Final = 1024 * 1024

_BEGIN: Final = """
local p, token = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local line, leases, inbox = p .. 'line', p .. 'leases', p .. 'inbox:'
"""

_ARRIVE: Final = (
    _BEGIN
    + """
local arriving, note, lease, ttl, most = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local before = redis.call('LINDEX', p .. 'talk', -1)
local head = redis.call('ZRANGE', line, 0, 0)[1]
if note ~= '' then
  redis.call('RPUSH', p .. 'talk', note)
  redis.call('LTRIM', p .. 'talk', -most, -1)
end
if arriving ~= '' then
  local number = redis.call('INCR', p .. 'count')
  redis.call('ZADD', line, number, token)
  redis.call('HSET', leases, token, now + lease)
  if arriving ~= 'other' then
    redis.call('HSET', p .. 'last', arriving, number)
    if head then
      redis.call('RPUSH', inbox .. head, arriving)
      redis.call('PEXPIRE', inbox .. head, ttl)
    end
  end
end
for _, name in ipairs({'line', 'leases', 'talk', 'count', 'last', 'state'}) do
  redis.call('PEXPIRE', p .. name, ttl)
end
return {head or '', before or ''}
"""
)

_LOOK: Final = (
    _BEGIN
    + """
local number = redis.call('ZSCORE', line, token)
if not number then return {-1} end
redis.call('HSET', leases, token, now + ARGV[2])
local head = redis.call('ZRANGE', line, 0, 0)[1]
while head ~= token and tonumber(redis.call('HGET', leases, head) or '0') < now do
  redis.call('ZREM', line, head)
  redis.call('HDEL', leases, head)
  head = redis.call('ZRANGE', line, 0, 0)[1]
end
if head ~= token then return {0} end
local last = redis.call('HMGET', p .. 'last', 'turn', 'end')
return {1, tonumber(number), tonumber(last[1] or 0), tonumber(last[2] or 0),
        redis.call('GET', p .. 'state') or '', redis.call('LRANGE', p .. 'talk', 0, -1)}
"""
)

_LEAVE: Final = (
    _BEGIN
    + """
local state, drop, ttl = ARGV[2], ARGV[3], ARGV[4]
local was_first = redis.call('ZRANGE', line, 0, 0)[1] == token
redis.call('ZREM', line, token)
redis.call('HDEL', leases, token)
if was_first and state ~= '' then redis.call('SET', p .. 'state', state, 'PX', ttl) end
if drop == '1' then
  redis.call('DEL', p .. 'state', p .. 'talk')
  for _, name in ipairs({'line', 'leases', 'count', 'last'}) do redis.call('PEXPIRE', p .. name, 60000) end
end
local head = redis.call('ZRANGE', line, 0, 0)[1]
if head then
  redis.call('RPUSH', inbox .. head, 'go')
  redis.call('PEXPIRE', inbox .. head, ttl)
end
redis.call('RPUSH', inbox .. token, 'left')
redis.call('PEXPIRE', inbox .. token, 1000)
return was_first and 1 or 0
"""
)


class Connections:
    """To one Redis, from one event loop: those for steps, which are short, and those in which handlers wait for news,
    which must not hold up the steps."""

    def __init__(self, url: str, most_waits: int) -> None:
        from redis.asyncio import BlockingConnectionPool, Redis

        steps = BlockingConnectionPool.from_url(url, max_connections=STEPS_AT_ONCE, timeout=None)
        self.steps: Final = Redis.from_pool(steps)
        self.waits: Final = Redis.from_url(url, socket_timeout=None)
        self.free: Final = asyncio.Semaphore(most_waits)


class RedisStates:
    """`Assistant(state=Order, states=RedisStates("redis://localhost"))`: any process may answer any event of a call.

    Between two events the state is JSON: a dict of JSON's values, a dataclass or a pydantic model. The events of a
    session are answered one at a time whichever process they reach, in the order of their arrival, and cancel each
    other as in one process.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        lasts_seconds: without an event for so long, a session's state is dropped.
        lease_seconds: after so long without a sign of life, a worker has lost its place in the line.
        prefix: before all keys.
        most_connections: of this process in which handlers that run or wait get news at once. With more handlers, the
            others look by themselves, every third of a lease.

    Raises:
        ExtraMissing: the extra `redis` is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        lasts_seconds: float = FORGOTTEN_AFTER_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        prefix: str = "offhook",
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        if find_spec("redis") is None:
            raise ExtraMissing("RedisStates", extra="redis")
        self._url: Final = url
        self._prefix: Final = prefix
        self._most_connections: Final = most_connections
        self.lasts_ms: Final = round(lasts_seconds * 1000)
        self.lease_seconds: Final = lease_seconds
        self._connections: WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = WeakKeyDictionary()

    @property
    def connections(self) -> "Connections":
        """Those of this event loop."""
        loop = asyncio.get_running_loop()
        connections = self._connections.get(loop)
        if connections is None:
            connections = self._connections[loop] = Connections(self._url, self._most_connections)
        return connections

    async def close(self) -> None:
        """Close the connections of this event loop."""
        connections = self._connections.pop(asyncio.get_running_loop(), None)
        if connections is not None:
            await connections.steps.aclose()
            await connections.waits.aclose()

    async def note(self, session_id: str, note: Note) -> None:
        """Add to the talk. Raises StateUnavailable."""
        head, before = await self._arrive(session_id, "", "", note)
        await self._cut(session_id, head, before, note)

    async def arrive(self, session_id: str, arriving: Arriving, note: Note | None) -> "RedisPlace":
        """A place in the session's line. Raises StateUnavailable."""
        place = RedisPlace(self, self.keys(session_id), uuid.uuid4().hex)
        head, before = await self._arrive(session_id, place.token, arriving, note)
        await self._cut(session_id, head, before, note)
        return place

    def keys(self, session_id: str) -> str:
        """What a session's keys begin with."""
        return f"{self._prefix}:{{{session_id}}}:"

    async def run(self, script: str, keys: str, *arguments: Any) -> Any:
        """One step that happens as a whole. Raises StateUnavailable."""
        return await self.asked(self.connections.steps.eval(script, 1, keys, *arguments))

    async def asked(self, answer: Awaitable[Any]) -> Any:
        """What Redis answers. Raises StateUnavailable."""
        from redis.exceptions import RedisError

        try:
            return await answer
        except (RedisError, OSError) as error:
            raise StateUnavailable(
                f"Redis does not keep the state of sessions ({error}).",
                remedy="Does it run, and is the address right? The event is answered with an error until then.",
                code="state_unavailable",
                retryable=True,
            ) from error

    async def _arrive(self, session_id: str, token: str, arriving: str, note: Note | None) -> tuple[bytes, bytes]:
        written = "" if note is None else json.dumps(note)
        lease = round(self.lease_seconds * 1000)
        answer = await self.run(
            _ARRIVE, self.keys(session_id), token, arriving, written, lease, self.lasts_ms, MOST_NOTES
        )
        return answer[0], answer[1]

    async def _cut(self, session_id: str, head: bytes, before: bytes, note: Note | None) -> None:
        """Tell whoever is speaking that the caller has cut it."""
        if not head or not was_cut(_note(before) if before else None, note):
            return
        inbox = f"{self.keys(session_id)}inbox:{head.decode()}"
        await self.asked(cast("Awaitable[Any]", self.connections.steps.rpush(inbox, "cut")))
        await self.asked(self.connections.steps.pexpire(inbox, self.lasts_ms))


class RedisPlace:
    """One event's place in the line of its session."""

    def __init__(self, states: RedisStates, keys: str, token: str) -> None:
        self._states: Final = states
        self._keys: Final = keys
        self.token: Final = token

    async def take(self, *, latest_turn_only: bool) -> tuple[bytes | None, Sequence[Note]] | None:
        """The state, when all before are done; None when it is of no use any more. Raises StateUnavailable."""
        while True:
            seen = await self._look()
            if seen[0] == 1:
                break
            if seen[0] < 0:
                raise _lost()
            await self._news()
        _, number, last_turn, last_end, state, talk = seen
        if last_end > number or (latest_turn_only and last_turn > number):
            return None
        return state or None, [_note(one) for one in talk]

    async def watch(self, cancel: Callable[[bool], None]) -> None:
        """Until `leave`. A Redis that is gone meanwhile is noticed there."""
        try:
            while (news := await self._news()) != b"left":
                if news in {b"end", b"turn", b"cut"}:
                    cancel(news == b"end")
                elif (await self._look())[0] < 0:
                    return
        except StateUnavailable:
            return

    async def leave(self, state: bytes | None, *, drop: bool) -> None:
        """Give the place to the next. Raises StateUnavailable."""
        if state is not None and len(state) > LONGEST_STATE:
            await self.leave(None, drop=drop)
            raise StateUnavailable(
                f"The state of a session has {len(state)} bytes; {LONGEST_STATE} are the most.",
                remedy="Keep what is large elsewhere, and its name in the state.",
                code="state_too_large",
            )
        first = await self._states.run(
            _LEAVE, self._keys, self.token, state or b"", "1" if drop else "0", self._states.lasts_ms
        )
        if state is not None and not first:
            raise _lost()

    async def _look(self) -> Any:
        return await self._states.run(_LOOK, self._keys, self.token, round(self._states.lease_seconds * 1000))

    async def _news(self) -> bytes | None:
        """What was written to this event, or None after a third of its lease."""
        seconds = self._states.lease_seconds / 3
        connections = self._states.connections
        try:
            async with asyncio.timeout(seconds):
                await connections.free.acquire()
        except TimeoutError:
            return None
        try:
            waiting = connections.waits.blpop([f"{self._keys}inbox:{self.token}"], seconds)
            answer = await self._states.asked(cast("Awaitable[Any]", waiting))
        finally:
            connections.free.release()
        return None if answer is None else cast("bytes", answer[1])


def _note(written: bytes) -> Note:
    kind, text = json.loads(written)
    return kind, text


def _lost() -> StateUnavailable:
    return StateUnavailable(
        "This worker was silent for longer than its lease, and another one goes on with the session.",
        remedy="Does a handler block the event loop? Make it sync (`def`), or give a longer lease_seconds.",
        code="state_lease_lost",
    )
