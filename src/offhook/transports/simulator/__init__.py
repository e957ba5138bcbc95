"""A caller made of text, samples or a WAV file, without any network: for tests, `offhook call` and the demo.

Owns: a listener whose calls are placed by a method, and the caller at the other end of each: what it says and when,
what it hears, a recording of both.
Who may enter: service/wiring.py, testing, and whoever places calls through them.
Never here: a clock. The caller's beat is the packet it receives: for every 20 ms that it hears, it sends its own next
20 ms. So a call is as fast as the media process, and under a clock by hand it is the same every time.
Read first: steps.py (what a caller can do), then listener.py, then caller.py.
"""
