"""The pure core: a call is a function of facts and time (contract sections 2 to 5).

This room owns what a call is: the caller's turns, the assistant's queue, interruption, timeouts, transfers, fallback.
`calls` enters with facts (`inputs`) and takes orders away (`outputs`); `testing` and `service` may replay (`record`)
and print (`transcript`).
What never happens here: I/O, a clock, a random number, a task, a log line, an exception for what the world does.
Read `state_tables.py` first, then `conversation.py`, where the three machines touch each other.
"""
