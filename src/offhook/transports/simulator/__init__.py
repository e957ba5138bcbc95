"""A caller made of text, samples or a WAV file, without any network, and people who are called: for tests,
`offhook call` and the demo.

Owns: a listener whose calls are placed by a method, a dialler that reaches callees who answer, are busy or do not
answer, and the person at the other end of each call: what it says and when, what it hears, a recording of both.
Who may enter: service/wiring.py, testing, and whoever places calls through them.
Never here: a clock. A person's beat is the packet it receives: for every 20 ms that it hears, it sends its own next
20 ms; before there are packets, a callee rings by the house's reports. So a call is as fast as the media process, and
under a clock by hand it is the same every time.
Read first: steps.py (what a caller can do), then listener.py, then caller.py; callee.py and dialler.py.
"""
