"""Sockets of rows."""

import socket

from offhook.media.wire import disconnect


def test_a_socket_on_all_addresses_can_be_let_go_of_its_peer_and_keeps_its_port() -> None:
    """The service's default listens on all addresses; a media process that starts anew finds them connected."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
    ):
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        peer.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as row:
            row.bind(("0.0.0.0", port))
            row.connect(peer.getsockname())
            disconnect(row)
            assert row.getsockname() == ("0.0.0.0", port)
