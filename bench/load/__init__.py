"""The caller farm: a real `offhook serve`, an app and many callers, each a process of its own, measured from outside.

Owns: how many conversations a node holds, and what each costs. Nothing of the service imports it; it enters the service
by its settings, its metrics and its call logs. Its speech engines are the service's scripted ones, which take as long
as a vendor's would (`[speech.scripted]`).
Read `bench/README.md` first, then `__main__.py`, `runs.py` and `caller_farm.py`.
"""
