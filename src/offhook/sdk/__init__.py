"""The app's side: `Assistant` turns events into calls of handlers, and their replies into actions (contract section 8).

Who may enter: the developer's program, `testing`, and the command line. What never happens here: an import of anything
but `protocol`, pydantic and the standard library, other than a framework's in the one file that is for it. Read
`assistant.py` first, then `session_lines.py`, `replies.py` and `asgi.py`.
"""
