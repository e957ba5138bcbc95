"""Media: the audio of all calls, as arrays, once every 20 ms.

Owns the clock, the RTP sockets' traffic, the jitter buffer, voice detection, telephone events, playout and the
background loop. It runs as a process of its own (`python -m offhook.media`), a plain loop that the service process
starts, feeds with commands and hears from in one report a tick; tests run the same worker in their own process, with
a clock by hand.

Who may enter: `calls` (the link and the shared audio), `transports` (the messages), `service`.

Never here: asyncio, JSON, a conversation, a file, a thread; a Python loop over calls, but for the two that move packets
through sockets and those over the few rows to which something rare has happened.

Read `messages.py` first, then `worker.py`.
"""
