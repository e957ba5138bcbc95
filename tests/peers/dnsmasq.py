"""dnsmasq as the DNS of a domain, on loopback."""

import asyncio
import shutil
import subprocess
from typing import Final, Self

from tests.peers.baresip import free_port


class Dnsmasq:
    """One name server. Use it as `async with Dnsmasq(...) as dns`.

    Args:
        records: options of dnsmasq, such as `srv-host=_sip._udp.example.net,one.example.net,5060,10,0`.
    """

    def __init__(self, *records: str) -> None:
        if shutil.which("dnsmasq") is None:
            raise RuntimeError("dnsmasq is missing. Remedy: apt-get install dnsmasq-base")
        self.port: Final = free_port()
        self._records = records

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(
                "dnsmasq",
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--log-facility=-",
            ),
            *(f"--port={self.port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--local=/example.net/"),
            *("--user=root", "--pid-file="),
            *(f"--{record}" for record in self._records),
            stderr=asyncio.subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert self._process.stderr is not None
        said = b""
        async with asyncio.timeout(10):
            while b"started" not in (line := await self._process.stderr.readline()):
                said += line
                assert line, said
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await self._process.communicate()
