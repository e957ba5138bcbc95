"""Calls: where facts become orders and orders become deeds.

Owns the life of a call: admission, the heartbeat, one inbox a call, what is done for each order of the core, and the
call's log. It knows the *interfaces* of speech, transports and app links, never a concrete one.

Who may enter: `service` (which chooses the concrete parts), `control` (which looks and asks), `testing` lazily.

Never here: an audio sample per packet, a timer per call, a decision about the conversation (that is the core's).

Read `live_call.py` first, then `obey.py`.
"""
