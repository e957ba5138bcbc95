"""What time it is, for the one thing in the SDK that grows old: the state of calls that never end."""

import time


def now() -> float:
    """Seconds, from an arbitrary moment on, never going back."""
    return time.monotonic()
