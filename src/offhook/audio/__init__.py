"""Audio as arrays: G.711, WAV, resampling, levels. Plain functions, no state of any call.

Owns: how samples are written down (G.711, WAV) and how they are turned from one rate into another. A block of audio is
a contiguous int16 array of one channel; its rate in Hz travels beside it.
Who may enter: media, speech, the transports, calls, service.
Never here: files of the call, sockets, clocks, asyncio, packets.
Read first: wav.py, then g711.py.
"""
