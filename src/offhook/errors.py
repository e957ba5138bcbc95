"""The one error of the house. Every room may import this file, and this file imports nothing.

An error says what happened and what to do about it (house rule 7). Foreign exceptions are turned into one of
these where the foreign code ends.
"""


class OffhookError(Exception):
    """Something went wrong, and `remedy` says what to do.

    Args:
        message: what happened, one sentence, with the names and numbers that matter.
        remedy: what the reader can do about it.
        code: a stable name in snake_case, for logs, metrics and the call's timeline.
        retryable: whether the same attempt may succeed a moment later.
    """

    def __init__(self, message: str, *, remedy: str, code: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.message} Remedy: {self.remedy}"


class SettingsInvalid(OffhookError):
    """A setting, a command line or an environment variable cannot be used."""

    def __init__(self, message: str, *, remedy: str, code: str = "settings_invalid") -> None:
        super().__init__(message, remedy=remedy, code=code)


class ExtraMissing(OffhookError):
    """A command needs a part of Offhook that is not installed."""

    def __init__(self, what: str, *, extra: str) -> None:
        several = "," in extra
        super().__init__(
            f"{what} needs the extra{'s' * several} '{extra}', which {'are' if several else 'is'} not installed.",
            remedy=f"pip install 'offhook[{extra}]'",
            code="extra_missing",
        )


class ProviderFailed(OffhookError):
    """A speech engine refused, broke or fell silent (contract D10)."""

    def __init__(self, message: str, *, remedy: str, code: str = "provider_failed", retryable: bool = True) -> None:
        super().__init__(message, remedy=remedy, code=code, retryable=retryable)
