"""Deletes call logs, and what is kept of refused calls, that have been kept long enough (contract D43)."""

import asyncio
import time
from pathlib import Path
from typing import Final

import structlog

from offhook.service.refusal_record import FOLDER as REFUSED

logger = structlog.get_logger()

DAY_SECONDS: Final = 86400
# Often enough that a log goes within an hour of its time.
EVERY_SECONDS: Final = 3600


class CallLogKeeper:
    """Keeps the folder of call logs to `keep_days`. `deleted` and `failures` count files, for metrics."""

    def __init__(self, folder: Path, keep_days: int) -> None:
        self._folder: Final = folder
        self._keep_seconds: Final = keep_days * DAY_SECONDS
        self.deleted = 0
        self.failures = 0

    def sweep(self, now: float) -> int:
        """Delete what was last written more than `keep_days` before `now` (Unix seconds); returns how many files."""
        gone = 0
        for log in sorted((*self._folder.glob("*.jsonl"), *(self._folder / REFUSED).glob("*.jsonl"))):
            try:
                if now - log.stat().st_mtime > self._keep_seconds:
                    log.unlink()
                    gone += 1
            except OSError as refusal:
                self.failures += 1
                logger.warning("call_log_not_deleted", file=log.name, why=refusal.strerror)
        self.deleted += gone
        if gone:
            logger.info("call_logs_deleted", count=gone)
        return gone

    async def run(self) -> None:
        """Sweep every hour, away from the loop, until cancelled."""
        while True:
            await asyncio.to_thread(self.sweep, time.time())
            await asyncio.sleep(EVERY_SECONDS)
