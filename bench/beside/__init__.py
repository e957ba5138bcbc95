"""Offhook beside its peers: the same callers, the same engines, the same core, one after the other in one run.

Owns: the ratio between Offhook and a peer. The callers are carriers in the dialect of Twilio's Media Streams, in a
process of their own (`stream_callers.py`); what each peer is and costs is in `peers.py`; what was seen at a number of
calls, and until when a peer holds, in `levels.py`. No code of a peer is kept here: Pipecat comes from PyPI in the
versions of `pipecat_requirements.txt`, into a virtual environment in the user's cache. Read `__main__.py` first.
"""
