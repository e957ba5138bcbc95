"""Models are got from a publisher on this machine: checked, taken up again, pinned."""

import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from offhook.errors import OffhookError
from offhook.service.model_catalogue import CATALOGUE, HubFiles, Model, VoskArchive
from offhook.service.model_store import LOCK, by_hand, digest_of, is_here, pull

COMMIT = "6d451ff8a325"
LARGE, SMALL = bytes(range(256)) * 4000, b"<blk> 0\n"


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class Publisher:
    """A hub with one repository, and Vosk's list with one archive. `cut_at`: the next download of the large file breaks
    off there; `ranges`: whether the server knows them."""

    url: str = ""
    large: bytes = LARGE
    claimed: bytes = LARGE
    cut_at: int | None = None
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    archive: bytes = b""
    vosk_md5: str | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.asked.append((path, request.headers.get("Range")))
        if path == "/api/models/me/model/revision/main":
            return web.json_response({"sha": COMMIT})
        if path == f"/api/models/me/model/tree/{COMMIT}/deep":
            oid = hashlib.sha256(self.claimed).hexdigest()
            lfs = {"oid": oid, "size": len(self.claimed), "pointerSize": 134}
            return web.json_response(
                [
                    {
                        "type": "file",
                        "path": "deep/large.onnx",
                        "size": len(self.claimed),
                        "oid": "of pointer",
                        "lfs": lfs,
                    }
                ]
            )
        if path == f"/api/models/me/model/tree/{COMMIT}":
            return web.json_response(
                [{"type": "file", "path": "tokens.txt", "size": len(SMALL), "oid": git_hash(SMALL)}]
            )
        if path == f"/me/model/resolve/{COMMIT}/tokens.txt":
            return web.Response(body=SMALL)
        if path == f"/me/model/resolve/{COMMIT}/deep/large.onnx":
            return await self._large(request)
        if path == "/vosk/model-list.json":
            md5 = self.vosk_md5 or hashlib.md5(self.archive, usedforsecurity=False).hexdigest()
            url = f"{self.url}/vosk/small.zip"
            return web.json_response([{"name": "small", "url": url, "size": len(self.archive), "md5": md5}])
        if path == "/vosk/small.zip":
            return web.Response(body=self.archive)
        return web.Response(status=404)

    async def _large(self, request: web.Request) -> web.StreamResponse:
        start = int(request.headers["Range"][6:-1]) if self.ranges and "Range" in request.headers else 0
        body = self.large[start:]
        answer = web.StreamResponse(status=206 if start else 200, headers={"Content-Length": str(len(body))})
        await answer.prepare(request)
        if self.cut_at is not None:
            await answer.write(body[: self.cut_at])
            self.cut_at = None
            assert request.transport is not None
            request.transport.close()
            return answer
        await answer.write(body)
        return answer

    def downloads(self) -> list[str | None]:
        return [asked for path, asked in self.asked if path.endswith("large.onnx")]

    @property
    def model(self) -> Model:
        return Model(
            "mine", "sherpa-onnx", "none", 1, "MIT", HubFiles("me/model", ("deep/large.onnx", "tokens.txt"), self.url)
        )

    @property
    def vosk(self) -> Model:
        return Model("small", "vosk", "none", 1, "MIT", VoskArchive("small", f"{self.url}/vosk/model-list.json"))


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    found = Publisher()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("small-0.15/am/final.mdl", "model")
        archive.writestr("small-0.15/README", "read")
    found.archive = packed.getvalue()
    app = web.Application()
    app.router.add_get("/{path:.*}", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


def unseen(name: str, there: int, whole: int) -> None:
    """Nobody looks."""


async def test_a_model_is_checked_kept_and_pinned(
    publisher: Publisher, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    seen: list[tuple[str, int, int]] = []
    home = await pull(publisher.model, tmp_path, client, lambda *step: seen.append(step))

    assert (home / "large.onnx").read_bytes() == LARGE
    assert (home / "tokens.txt").read_bytes() == SMALL
    lock = json.loads((home / LOCK).read_text())
    assert [file["digest"] for file in lock["files"]] == [
        f"sha256:{hashlib.sha256(content).hexdigest()}" for content in (LARGE, SMALL)
    ]
    assert all(COMMIT in file["url"] for file in lock["files"])
    assert seen[-2] == ("large.onnx", len(LARGE), len(LARGE))
    assert is_here(publisher.model, tmp_path)


async def test_what_is_here_is_not_downloaded_again(
    publisher: Publisher, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    home = await pull(publisher.model, tmp_path, client, unseen)
    publisher.asked.clear()
    await pull(publisher.model, tmp_path, client, unseen)
    assert publisher.asked == []

    (home / "large.onnx").write_bytes(b"damaged")
    await pull(publisher.model, tmp_path, client, unseen)

    assert (home / "large.onnx").read_bytes() == LARGE


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_download_that_broke_off_is_taken_up_again(
    publisher: Publisher, client: aiohttp.ClientSession, tmp_path: Path, ranges: bool
) -> None:
    publisher.cut_at, publisher.ranges = 300_000, ranges
    with pytest.raises(OffhookError) as broken:
        await pull(publisher.model, tmp_path, client, unseen)
    assert broken.value.code == "model_not_reached"
    assert not is_here(publisher.model, tmp_path)
    there = (tmp_path / "mine" / "large.onnx.part").stat().st_size

    home = await pull(publisher.model, tmp_path, client, unseen)

    assert 0 < there <= 300_000
    assert publisher.downloads() == [None, f"bytes={there}-"]
    assert (home / "large.onnx").read_bytes() == LARGE


async def test_another_content_than_the_publisher_says_is_thrown_away(
    publisher: Publisher, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    publisher.large = LARGE[:-1] + b"!"
    with pytest.raises(OffhookError, match="checksum") as corrupt:
        await pull(publisher.model, tmp_path, client, unseen)

    assert corrupt.value.code == "model_corrupt"
    assert not list((tmp_path / "mine").glob("large*"))


async def test_what_was_pinned_counts_when_the_publisher_changes_it(
    publisher: Publisher, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    home = await pull(publisher.model, tmp_path, client, unseen)
    (home / "large.onnx").unlink()
    publisher.large = publisher.claimed = LARGE[:-1] + b"!"

    with pytest.raises(OffhookError, match="checksum"):
        await pull(publisher.model, tmp_path, client, unseen)


async def test_an_archive_is_unpacked_without_its_outer_folder(
    publisher: Publisher, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    home = await pull(publisher.vosk, tmp_path, client, unseen)
    publisher.asked.clear()
    await pull(publisher.vosk, tmp_path, client, unseen)

    assert (home / "am" / "final.mdl").read_text() == "model"
    assert sorted(path.name for path in home.iterdir()) == ["README", "am", LOCK]
    assert publisher.asked == []


async def test_an_archive_with_another_checksum_is_not_unpacked(
    publisher: Publisher, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    publisher.vosk_md5 = "0" * 32
    with pytest.raises(OffhookError, match="checksum"):
        await pull(publisher.vosk, tmp_path, client, unseen)

    assert not (tmp_path / "small" / "am").exists()


async def test_offline_it_says_what_to_do_by_hand(client: aiohttp.ClientSession, tmp_path: Path) -> None:
    model = Model("mine", "piper", "none", 1, "MIT", HubFiles("me/model", ("deep/large.onnx",), "http://127.0.0.1:9"))
    with pytest.raises(OffhookError) as offline:
        await pull(model, tmp_path, client, unseen)

    assert "http://127.0.0.1:9/me/model/resolve/main/deep/large.onnx" in offline.value.remedy
    assert str(tmp_path / "mine") in offline.value.remedy
    assert not (tmp_path / "mine").exists()


async def test_a_publisher_who_talks_otherwise_is_not_guessed_at(
    publisher: Publisher, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    source = HubFiles("me/model", ("another.onnx",), publisher.url)
    with pytest.raises(OffhookError) as unknown:
        await pull(Model("mine", "piper", "none", 1, "MIT", source), tmp_path, client, unseen)

    assert unknown.value.code == "model_unknown"


def test_the_hash_of_a_git_blob_is_gits(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello\n")

    assert digest_of(tmp_path / "file", "git") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_every_model_of_the_catalogue_has_a_name_of_its_own_and_a_way_by_hand(tmp_path: Path) -> None:
    assert len({model.name for model in CATALOGUE}) == len(CATALOGUE)
    assert all("https://" in by_hand(model, tmp_path) for model in CATALOGUE)
