"""Voices, one engine a file. Each keeps the promises of `speech/synthesizer.py`; `tests/contracts` holds them to it.

Who may enter: `service/wiring.py`, and tests. Never here: one provider importing another. Read first: `scripted.py`.
"""
