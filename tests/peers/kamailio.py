"""Kamailio as a carrier or PBX: a registrar that challenges, and a proxy that sends calls to who is registered."""

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final, Self

from tests.peers.baresip import free_port

# Contacts are kept in memory: who restarts it makes it forget them. Calls that do not come from the account's own
# address are for the account, whatever number they name, as a carrier's are.
CONFIG = """
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=1
socket_workers=1
auto_aliases=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
{tls_listen}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "xlog.so"
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "timer_interval", 1)
modparam("registrar", "min_expires", {min_expires})
modparam("registrar", "max_expires", {max_expires})
modparam("auth", "nonce_expire", {nonce_expire})
modparam("auth", "algorithm", "{algorithm}")
{tls_settings}
request_route {{
    if (is_method("REGISTER")) {{
        xlog("L_WARN", "REGISTER $pr from $si:$sp contact <$ct> expires <$hdr(Expires)> algorithm <$aa>\\n");
        if ($hdr(Authorization) == $null) xlog("L_WARN", "WITHOUT CREDENTIALS\\n");
        if (!pv_www_authenticate("127.0.0.1", "{password}", "0")) {{
            www_challenge("127.0.0.1", "1");
            exit;
        }}
        save("location");
        xlog("L_WARN", "SAVED $pr contact <$ct> expires <$hdr(Expires)>\\n");
        exit;
    }}
    record_route();
    if (has_totag()) {{
        if (loose_route()) {{
            t_relay();
        }} else if (is_method("ACK") && t_check_trans()) {{
            t_relay();
        }}
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
{outgoing}
    $ru = "sip:{username}@127.0.0.1";
    if (!lookup("location")) {{
        sl_send_reply("480", "Nobody is registered");
        exit;
    }}
    t_relay();
}}
"""

OUTGOING = """
    if (is_method("INVITE")) {{
        xlog("L_WARN", "INVITE $pr from $si:$sp to <$rU> by <$fU>\\n");
        if (!pv_proxy_authenticate("127.0.0.1", "{password}", "0")) {{
            proxy_challenge("127.0.0.1", "1");
            exit;
        }}
        consume_credentials();
        xlog("L_WARN", "TAKEN $pr as <$au>\\n");
        $du = "sip:127.0.0.1:{callee}";
        t_relay();
        exit;
    }}
"""
RELAYING = """
    if (is_method("INVITE")) {
        t_relay();
        exit;
    }
"""
TLS_LISTEN = """
enable_tls=yes
listen=tls:127.0.0.1:{port}
"""
TLS_SETTINGS = """
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{key}")
modparam("tls", "ca_list", "{ca}")
"""

USERNAME: Final = "4921155660"
PASSWORD: Final = "mellon"  # both sides of it are in this file


class Kamailio:
    """One Kamailio on a port of its own. Use it as `async with Kamailio(folder) as carrier`.

    Args:
        folder: for its configuration; must exist, one a carrier.
        algorithm: of its digest, `MD5` or `SHA-256`.
        min_expires, max_expires: what it grants, in seconds.
        nonce_expire: for how many seconds a nonce can be used again.
        callee: a port. Who calls is challenged, and every call goes there.
        relays: calls go where their address says, as between the telephones of a house.
        tls: its certificate and key, and the certificates that it trusts: it takes TLS on `tls_port` then.
    """

    def __init__(
        self,
        folder: Path,
        *,
        algorithm: str = "MD5",
        min_expires: int = 1,
        max_expires: int = 3600,
        nonce_expire: int = 300,
        tls: tuple[Path, Path, Path] | None = None,
        callee: int | None = None,
        relays: bool = False,
    ) -> None:
        if shutil.which("kamailio") is None:
            raise RuntimeError("kamailio is missing. Remedy: apt-get install kamailio")
        self.port: Final = free_port()
        self.tls_port: Final = free_port(socket.SOCK_STREAM)
        tls_settings = tls and TLS_SETTINGS.format(certificate=tls[0], key=tls[1], ca=tls[2])
        self.lines: list[str] = []
        self._folder = folder
        self._told = asyncio.Condition()
        (folder / "kamailio.cfg").write_text(
            CONFIG.format(
                port=self.port,
                username=USERNAME,
                password=PASSWORD,
                algorithm="" if algorithm == "MD5" else algorithm,
                min_expires=min_expires,
                max_expires=max_expires,
                nonce_expire=nonce_expire,
                tls_listen=TLS_LISTEN.format(port=self.tls_port) if tls else "",
                tls_settings=tls_settings or "",
                outgoing=OUTGOING.format(password=PASSWORD, callee=callee) if callee else RELAYING if relays else "",
            )
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it, without any contact."""
        runtime = self._folder / "run"
        runtime.mkdir(exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            *("kamailio", "-DD", "-E", "-m", "16", "-M", "4", "-Y", str(runtime)),
            *("-f", str(self._folder / "kamailio.cfg"), "-P", str(runtime / "pid")),
            stdout=subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LANG": "C"},
        )
        self._reading = asyncio.ensure_future(self._read())

    async def listening(self, *, seconds: float = 20) -> None:
        """Wait until it takes connections."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    # From another address: from its own, a connection to a port that nobody has may reach itself.
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=("127.0.0.2", 0))
                except ConnectionRefusedError:
                    continue
                writer.close()
                await writer.wait_closed()
                return

    async def stop(self) -> None:
        """Stop it. What was registered is forgotten."""
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        await self._reading

    def trunk(self, *, name: str = "carrier", registrar: str = "", password: str = PASSWORD, more: str = "") -> str:
        """The section for a service that is to register here. `registrar`: by this name instead of its address."""
        registrar = registrar or f"127.0.0.1:{self.port}"
        return (
            f'[[trunk]]\nname = "{name}"\nregistrar = "{registrar}"\nusername = "{USERNAME}"\n'
            f'password = "{password}"\n{more}\n'
        )

    async def until(self, text: str, *, times: int = 1, seconds: float = 20) -> list[str]:
        """The lines of its log with this text, as soon as there are so many."""
        async with asyncio.timeout(seconds), self._told:
            while len(found := [line for line in self.lines if text in line]) < times:
                await self._told.wait()
        return found

    def count(self, text: str) -> int:
        """How many lines of its log have this text so far."""
        return sum(text in line for line in self.lines)

    async def _read(self) -> None:
        assert self._process.stderr is not None
        while raw := await self._process.stderr.readline():
            async with self._told:
                self.lines.append(raw.decode(errors="replace").rstrip())
                self._told.notify_all()
