"""A request that is answered with an error."""

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import Response
from fastapi.responses import JSONResponse

from offhook.protocol.json_codec import RefusedAction


class Refusal(Exception):  # an answer, not a failure
    """A request that is answered with an error: its status, a stable code, what happened and what to do."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        remedy: str,
        mistakes: Sequence[RefusedAction] = (),
        *,
        rule: str = "",
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.remedy = remedy
        self.mistakes = mistakes
        self.rule = rule
        self.retry_after_seconds = retry_after_seconds

    def answer(self) -> Response:
        """The error as JSON."""
        error: dict[str, object] = {"code": self.code, "message": self.message, "remedy": self.remedy}
        if self.rule:
            error["rule"] = self.rule
        if self.mistakes:
            error["mistakes"] = [
                {"code": m.code, "path": m.path, "message": m.message, "remedy": m.remedy} for m in self.mistakes
            ]
        headers = {"WWW-Authenticate": "Bearer"} if self.status is HTTPStatus.UNAUTHORIZED else {}
        if self.retry_after_seconds is not None:
            headers["Retry-After"] = str(self.retry_after_seconds)
        return JSONResponse({"error": error}, self.status, headers)
