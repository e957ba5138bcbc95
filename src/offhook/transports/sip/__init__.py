"""SIP: one file per layer of RFC 3261, with the RFC's words as names.

Owns: SIP over UDP and TCP, transactions, dialogs, offer and answer, the legs that come of it; and registrations.
May enter: service/wiring chooses `SipListener`; the rest of the house knows `transports/call_leg` only.
Never here: RTP packets, flows, speech, apps; a machine that waits (only `listener` has a timer).
Read first: `user_agent` (what happens to a message), then `call` (what happens to a call).

    listener        sockets, the one timer, legs out          leg         the house's view of a call
    user_agent      requests to transactions and calls        call        one session in its dialog
    client_side     our own requests, and whose they are      incoming_call, outgoing_call    how it comes to that
    dialling        trunks that calls are placed by           trunk       one of them
    transaction     RFC 3261 section 17, RFC 6026             invite_client_transaction    its figure 5
    placed_identity, call_outcome    what an INVITE of ours says, and what its refusal means
    client_request  ACK and CANCEL of our INVITEs             dialog      RFC 3261 section 12
    call_effects    what a call wants done                    unacknowledged    our 200s that wait for their ACK
    session_timer   RFC 4028                                  reliable_provisional    RFC 3262
    orders          what the house wants of a call            bound_address    where it listens
    message         RFC 3261 section 7, tolerant              framing     messages out of a TCP stream
    header_fields   one header value, strict then tolerant    response    answers to requests
    session_description, offer_answer    RFC 4566, RFC 3264    caller_identity    who calls whom
    front_door      what is read at all, and how often        entrance    who may begin something, and as whom
    admission       who may call (contract D42)               hop         where messages come from and go to
    rate_limits     token buckets                             refusals    what was turned away, and what would allow it
    digest_server   RFC 7616, the server's side               user        who may call from anywhere with a password
    refusal_log     what is said about refusals               stateless_answers    those that leave no trace
    streams         connections by TCP and TLS                connection_watch    which of them are given up
    registration    being registered at one registrar         account     at which, as whom
    register_request    what is asked of it                   digest      RFC 7616, the client's side
    registration_trouble    why not, and how long to wait     deadlines   those of all machines
    server_location     where a domain's servers are (RFC 3263)    bound_address    where we listen
    registration_log    what is said about it                 path_to     how a server is reached

All times are `Ms`: integer milliseconds on one monotonic clock, handed in as `now`.
"""
