"""Sound as it comes from a vendor: bytes of linear16 that may be cut anywhere, as samples."""

import numpy as np

from offhook.speech.transcriber import Samples


class PcmStream:
    """Half a sample at the end of a message is the beginning of the next one."""

    def __init__(self) -> None:
        self._half = b""

    def samples(self, data: bytes) -> Samples:
        """The samples that are complete with these bytes, mono int16."""
        data = self._half + data
        whole = len(data) // 2 * 2
        self._half = data[whole:]
        return np.frombuffer(data[:whole], np.int16)
