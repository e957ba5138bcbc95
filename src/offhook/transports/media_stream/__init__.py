"""Calls that carriers deliver over WebSocket: media streams as Twilio defined them, and Telnyx's.

Owns: the carriers' dialects, their answer documents, signatures and REST calls, the tokens of stream addresses; an edge
process that holds the WebSockets and exchanges 20 ms packets with the media rows; the legs that come of it.
May enter: service/wiring chooses `MediaStreamListener`; the rest of the house knows `transports/call_leg` only.
Never here: flows, speech, apps, decoding of audio; in the service process no HTTP and no WebSocket, in the edge no
state that a call could not lose: a leg outlives its stream for `grace_seconds`, and its edge, too.
Read first: `listener` (what happens to a call), then `edge_server` (what happens on a WebSocket).

    service process                                     edge process (python -m offhook.transports.media_stream)
    listener        streams to legs, grace, resuming    edge_server     HTTP, WebSockets, who may open one
    leg             the house's view of a call          edge_stream     one WebSocket: carrier <-> media row
    edge_process    started, spoken to, started again   carrier_rest    ending, redirecting where the socket cannot
                                                        edge_hand_over  callers connected with others by the carrier
    edge_messages, edge_link    what both say to each other, and how
    settings        what both are told                  answer_document, signatures, ed25519, stream_token

    pure: dialect (facts, messages), twilio, telnyx, inbound_audio (chunks to RTP), playback (RTP to messages, marks)
"""
