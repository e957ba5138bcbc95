"""Calls without a telephone, for the tests of an app: `Rehearsal` plays a caller against an `Assistant`, in memory and
with time by hand; `PhoneCall` does the same through a whole service, with audio.

Who may enter: the developer's tests, our own, and the command line. What never happens here: a network, a real wait. A
rehearsal runs the real conversation core, so that what it shows is what a caller would hear. Read `played_call.py`
first, what can be asked of any call, then `rehearsal.py`; `pytest_plugin.py` has the fixtures around it, and
`written_test.py` writes a call down as a test.
"""

from offhook.testing.phone_call import PhoneCall
from offhook.testing.played_call import CallStuck, NotHappened
from offhook.testing.rehearsal import Rehearsal

__all__ = ["CallStuck", "NotHappened", "PhoneCall", "Rehearsal"]
