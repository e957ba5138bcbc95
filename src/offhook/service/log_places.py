"""Where the logs of calls go: files in a folder, or nowhere."""

from contextlib import AsyncExitStack
from pathlib import Path

from offhook.calls.call_log import LogSink, LogWriter
from offhook.service.call_log_keeper import CallLogKeeper


class NoLogs:
    """Nothing is kept."""

    def open(self, session_id: str) -> LogSink:
        del session_id
        return _Nowhere()


class _Nowhere:
    def write(self, line: str) -> None:
        """Kept nowhere."""

    def close(self) -> None:
        """Nothing to close."""


def open_logs(
    folder: Path | None, keep_days: int, stack: AsyncExitStack
) -> tuple[LogWriter | None, CallLogKeeper | None]:
    """Who writes logs, until the stack is closed, and who clears away old ones; None: nothing is kept."""
    if folder is None:
        return None, None
    writer = LogWriter(folder)
    writer.start()
    stack.callback(writer.stop)
    return writer, CallLogKeeper(folder, keep_days)
