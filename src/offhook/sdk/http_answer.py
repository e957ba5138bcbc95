"""An HTTP answer as plain values, for any framework, and what is asked before the body is read (D32, D35a)."""

import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from offhook.protocol.actions import Action
from offhook.protocol.json_codec import action_to_json, actions_to_json
from offhook.protocol.mistakes import Mistake


class RequestHeaders(Protocol):
    """A request's headers as every framework has them; a dict will do. Names are compared without their case."""

    def get(self, key: str, /) -> str | None: ...

    def items(self) -> Iterable[tuple[str, str]]: ...


TOKEN_HEADER: Final = "x-api-token"  # noqa: S105  # the header's name, not a secret
JSON_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, headers and body; the body is empty or JSON."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE

    @property
    def headers(self) -> dict[str, str]:
        """`Content-Type` and `Content-Length`, as far as the status has them."""
        if self.status == 204:
            return {}
        return {"Content-Type": self.content_type, "Content-Length": str(len(self.body))}


NOTHING_TO_DO: Final = HttpAnswer(204)


def with_actions(actions: Sequence[Action]) -> HttpAnswer:
    """200 with one action or an array, 204 with none (D32)."""
    if not actions:
        return NOTHING_TO_DO
    return HttpAnswer(200, action_to_json(actions[0]) if len(actions) == 1 else actions_to_json(actions))


def refused(status: int, error: str, remedy: str, mistakes: Iterable[Mistake] = ()) -> HttpAnswer:
    """An error that says what to do."""
    return HttpAnswer(status, error_json(error, remedy, mistakes))


def error_json(error: str, remedy: str, mistakes: Iterable[Mistake] = ()) -> bytes:
    """`{"error", "remedy", "mistakes"}`; an object without a `type`, which the service only notes (D24, D28)."""
    listed = [{"path": one.path, "message": one.message, "remedy": one.remedy} for one in mistakes]
    return json.dumps({"error": error, "remedy": remedy, **({"mistakes": listed} if listed else {})}).encode()


WRONG_TOKEN: Final = refused(401, "The X-API-TOKEN header is missing or wrong.", "Use the flow's token on both sides.")
TOO_LARGE: Final = refused(413, "The body is over 8 MiB.", "Send one event.")
LENGTH_REQUIRED: Final = refused(411, "The Content-Length header is missing.", "Send one.")
FAILED: Final = refused(500, "The handler failed.", "See the app's log for this session.")
WELCOME: Final = HttpAnswer(
    200,
    json.dumps(
        {"name": "Offhook assistant", "message": "This is an Offhook assistant. POST events here, or open a WebSocket."}
    ).encode(),
)


def header(headers: RequestHeaders, name: str) -> str | None:
    """One header, whatever the case of its name."""
    found = headers.get(name)
    if found is not None:
        return found
    return next((value for key, value in headers.items() if key.lower() == name), None)


def token_matches(expected: str, given: str | None) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(expected.encode(), (given or "").encode("utf-8", "surrogatepass"))
