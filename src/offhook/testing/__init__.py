"""Calls without a telephone, for the tests of an app: `Rehearsal` plays a caller against an `Assistant`, in memory and
with time by hand.

Who may enter: the developer's tests, our own, and the command line. What never happens here: a network, a real wait. A
rehearsal runs the real conversation core, so that what it shows is what a caller would hear. Read `rehearsal.py` first;
`pytest_plugin.py` is the fixture around it.
"""

from offhook.testing.rehearsal import Rehearsal, RehearsalStuck

__all__ = ["Rehearsal", "RehearsalStuck"]
