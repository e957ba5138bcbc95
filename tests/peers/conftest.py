"""What tests with real peers share: the service as a process, telephones, apps; and what holds after each of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.peers.baresip import Baresip
from tests.peers.pjsua import Pjsua
from tests.peers.service import Service


class Serves(Protocol):
    """Starts a service: see Service."""

    async def __call__(
        self, app: str, *, flow: str = "", more: str = "", host: str = "0.0.0.0", sip: str = "", http: str = ""
    ) -> Service: ...


class Phones(Protocol):
    """Starts a telephone: see Baresip. `source` None plays silence."""

    async def __call__(
        self,
        source: Path | None = None,
        *,
        user: str = "+4930123456",
        codecs: str = "PCMU/8000/1",
        rate: int = 8000,
        answers: str = "auto",
    ) -> Baresip: ...


class PjsuaPhones(Protocol):
    """Starts a telephone made of PJSIP, with the settings of Pjsua."""

    async def __call__(self, **settings: Any) -> Pjsua: ...


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serves]:
    """Starts services. At the end each is stopped, its log must be free of errors, and every call that it recorded is
    replayed: the same facts must give the same orders, byte for byte."""
    async with AsyncExitStack() as stack:
        started: list[Service] = []

        async def start(
            app: str, *, flow: str = "", more: str = "", host: str = "0.0.0.0", sip: str = "", http: str = ""
        ) -> Service:
            folder = tmp_path / f"service{len(started) + 1}"
            folder.mkdir()
            service = Service(folder, app=app, flow=flow, more=more, host=host, sip=sip, http=http)
            started.append(service)
            return await stack.enter_async_context(service)

        yield start
        for service in started:
            await service.stop()
            assert service.failures() == []
            assert service.replay_differences() == {}


@pytest.fixture
async def phone(tmp_path: Path) -> AsyncIterator[Phones]:
    """Starts baresips; they end with the test."""
    async with AsyncExitStack() as stack:
        count = 0

        async def start(
            source: Path | None = None,
            *,
            user: str = "+4930123456",
            codecs: str = "PCMU/8000/1",
            rate: int = 8000,
            answers: str = "auto",
        ) -> Baresip:
            nonlocal count
            count += 1
            folder = tmp_path / f"phone{count}"
            folder.mkdir()
            telephone = Baresip(folder, source=source, user=user, codecs=codecs, rate=rate, answers=answers)
            return await stack.enter_async_context(telephone)

        yield start


@pytest.fixture
async def pjsua(tmp_path: Path) -> AsyncIterator[PjsuaPhones]:
    """Starts telephones made of PJSIP; they end with the test."""
    async with AsyncExitStack() as stack:
        count = 0

        async def start(**settings: Any) -> Pjsua:
            nonlocal count
            count += 1
            folder = tmp_path / f"pjsua{count}"
            folder.mkdir()
            return await stack.enter_async_context(Pjsua(folder, **settings))

        yield start
