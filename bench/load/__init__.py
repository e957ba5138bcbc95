"""The caller farm: a real `offhook serve`, an app and many callers, each a process of its own, measured from outside.

Owns: how many conversations a node holds, and what each costs. Nothing of the service imports it; it enters the service
by its settings, its metrics and its call logs, and replaces the two scripted engines by ones with a vendor's timing.
Read `__main__.py` first, then `caller_farm.py`.
"""
