"""The links to the developer's app: events go out, actions come back (contract section 6, D24 to D30, D41).

Owns: the order of events, their time limits, what is sent again and what is not, when an app is given up, reconnecting.
Who may enter: `calls` through the interface file `app_link`; `service/wiring` chooses `WebhookLink` or `WebSocketLink`.
Never here: what an action means, what a caller hears, media. The time is known in `link_clock` alone.
Read first: `app_link` (the interface), then `delivery` and `socket_delivery`, the two machines that decide everything
as pure functions of what happened and `now`; `courier` runs a machine, `webhook` and `websocket` are its hands.
"""
