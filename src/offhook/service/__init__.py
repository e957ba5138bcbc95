"""Service: the house put together and kept running.

Owns the settings (`settings`, `settings_file`), which flow has which number (`flow_book`), the log's
shape (`log_setup`), the HTTP server, the way the service stops (`shutdown`), the bodies of the commands (`commands/`)
and, in `wiring` and `speech_engines`, the places where concrete transports, links and engines are chosen.

Who may enter: `cli` (each command on its own, lazily) and `testing`, when a test asks for a whole service. No room.

Never here: a decision about a call (that is `conversation`), what is done for one (that is `calls`), an audio sample.

Read `settings.py` first, then `wiring.py`.
"""
