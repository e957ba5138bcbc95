"""The contract of every leg that was placed (tests/transports/test_placed_leg.py), over SIP by UDP, TCP and TLS."""

import ssl
from collections.abc import AsyncIterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from offhook.transports.sip.listener import SipListener
from offhook.transports.sip.trunk import SipTrunk
from tests.transports.sip.called_side import SipCalledSide, Socket
from tests.transports.sip.certificates import Authority

_spec = spec_from_file_location("placed_leg_contract", Path(__file__).parents[1] / "test_placed_leg.py")
assert _spec is not None
assert _spec.loader is not None
_contract = module_from_spec(_spec)
_spec.loader.exec_module(_contract)

TestPlacedSipLeg = _contract.TestPlacedLegContract


@pytest.fixture(params=["udp", "tcp", "tls"])
async def called_side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SipCalledSide]:
    """By TLS the listener has no address of its own for it: whom it calls answers by the connection."""
    authority, context = Authority(tmp_path), None
    if request.param == "tls":
        theirs = authority.sign("127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(theirs.certificate, theirs.key)
    socket = Socket()
    await socket.open(request.param, context)
    trunk = SipTrunk("carrier", "127.0.0.1", socket.port, request.param, tls_ca=str(authority.ca))
    listener = SipListener(
        ["udp:127.0.0.1:0" if request.param == "tls" else f"{request.param}:127.0.0.1:0"], dials_by=[trunk]
    )
    await listener.start()
    side = SipCalledSide(listener, socket, request.param)
    try:
        yield side
        await side.sees()
    finally:
        await listener.stop()
        await socket.close()
