"""The words on the wire: sessions, events, actions and their options, as frozen values, and the codec that reads and
writes them (contract sections 1 to 3); and where a sentence ends, which both who speak have to know.

Every room may enter. What never happens here: I/O, time, a decision about a call. Read `events.py` and `actions.py`
first, then `json_codec.py`: strict out, forgiving in.
"""
