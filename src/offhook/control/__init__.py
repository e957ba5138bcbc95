"""Control: the HTTP door for operators and their programs.

Owns the REST API (actions out of turn, the list of calls), `/livez`, `/readyz` and `/metrics`: an ASGI app that is
given the calls to look at and to ask.

Who may enter: `service`, which serves the app. Nobody else.

Never here: the life of a call, a decision about one, audio, a thread or a server of its own.

Read `control_app.py` first.
"""
