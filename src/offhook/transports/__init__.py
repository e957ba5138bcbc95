"""The ways a call comes in, one a folder; each is a `Listener` that yields `CallLeg`s.

Owns: signalling: offers, answers, refusals, hold, hanging up, and where the media of a leg goes.
Who may enter: calls knows call_leg.py only; service/wiring.py chooses the listeners.
Never here: flows, apps, speech, decoding of what the media process hears.
Read first: call_leg.py.
"""
