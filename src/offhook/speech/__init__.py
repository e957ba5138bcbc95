"""Speech: ears that turn a caller's voice into words, voices that turn words into sound.

Owns: the two interfaces (`transcriber`, `synthesizer`), one provider a file below `transcribers/` and `synthesizers/`,
the chains in which one engine goes on where another fails (contract D10), how well each engine is, the cache of
finished speech, and the processes of their own in which the embedded engines run.
Who may enter: `calls` through the two interface files only; `service/speech_engines.py` chooses the concrete
classes.
Never here: sockets of calls, the media loop, deciding when a turn begins or ends (the core does: D40), and any
engine's C library inside the service process.
Read first: `transcriber.py`, `synthesizer.py`, then the `scripted` implementation of each, then `engine_process.py`;
for a vendor's, `vendor_engine.py` and `provider_trouble.py`.

The embedded ear (pocketsphinx) understands English only and is good for short answers, digits and the phrases of
`custom_vocabulary`; the embedded voice (espeak-ng) speaks about a hundred languages, clearly and like a robot. A better
engine is one setting away.
"""
