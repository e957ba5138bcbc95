"""Commands: one file a command of `offhook`, named like it.

Each has `run(options, terminal) -> int` (the exit code) with its own frozen options of `options.py`. `cli.py` parses,
imports the one command that was asked for, and prints what OffhookError says.

Never here: `print`, `sys.argv`, `sys.exit`. Read `options.py` first.
"""
