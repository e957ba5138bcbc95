"""Gets models: checked against the publisher's own checksum, taken up again where a download broke off, and pinned.

Beside a model lies `offhook-model.json`: where each file came from and its SHA-256. Pulling again downloads what that
names, or nothing; a publisher who changes a file is noticed.
"""

import asyncio
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import aiohttp

from offhook.errors import OffhookError
from offhook.service.model_catalogue import HubFiles, Model, VoskArchive

LOCK: Final = "offhook-model.json"
BLOCK: Final = 1 << 20
SILENT_SECONDS: Final = 60.0
PARTIAL: Final = 206

Progress = Callable[[str, int, int], None]
"""Told the file's name, and how many of how many bytes are there."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One download. `digest` is the publisher's or the pinned one: `sha256:…`, `git:…` (a Git blob's) or `md5:…`."""

    name: str
    url: str
    size: int
    digest: str


async def pull(model: Model, folder: Path, client: aiohttp.ClientSession, progress: Progress) -> Path:
    """Have the model in `folder / model.name`; the folder of it. Raises OffhookError with what to do by hand."""
    home = folder / model.name
    try:
        files = _pinned(home) or await _published(model, client)
        home.mkdir(parents=True, exist_ok=True)
        pins = [await _have(file, home, client, progress) for file in files]
        for file in files:
            if file.name.endswith(".zip") and (home / file.name).exists():
                _unpack(home / file.name, home)
        lock = {"model": model.name, "licence": model.licence, "files": [asdict(pin) for pin in pins]}
        (home / LOCK).write_text(json.dumps(lock, indent=1) + "\n", encoding="utf-8")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _not_reached(model, home, str(error) or "it does not answer") from error
    except OSError as error:
        raise OffhookError(
            f"{model.name} cannot be kept in {home}: {error}.",
            remedy="Free space there, or name another folder: offhook models pull --folder",
            code="model_not_kept",
        ) from error
    return home


def is_here(model: Model, folder: Path) -> bool:
    """Whether it was pulled, to its end."""
    return (folder / model.name / LOCK).is_file()


def by_hand(model: Model, home: Path) -> str:
    """What somebody does on a machine that reaches nobody."""
    match model.source:
        case HubFiles(repository=repository, files=files, hub=hub):
            urls = "\n  ".join(f"{hub}/{repository}/resolve/main/{file}" for file in files)
        case VoskArchive(listed=listed, listing=listing):
            urls = f"{listing.rpartition('/')[0]}/{listed}.zip (unpack it, without its outer folder)"
    return f"On a machine with a connection, download into {home}:\n  {urls}"


# --- who says what there is


async def _published(model: Model, client: aiohttp.ClientSession) -> list[RemoteFile]:
    try:
        match model.source:
            case HubFiles() as source:
                return await _on_the_hub(source, client)
            case VoskArchive() as source:
                return await _in_vosks_list(source, client)
    except (KeyError, TypeError, ValueError) as error:
        raise OffhookError(
            f"What the publisher of {model.name} says of it cannot be read: {type(error).__name__} {error}.",
            remedy="Try again later; or name the folder of a model that you have.",
            code="model_unknown",
        ) from error


async def _on_the_hub(source: HubFiles, client: aiohttp.ClientSession) -> list[RemoteFile]:
    """The hub names the commit and, of each file in it, the SHA-256 (large files) or the Git blob's hash."""
    about = await _json(client, f"{source.hub}/api/models/{source.repository}/revision/main")
    commit = str(about["sha"])
    folders = {str(PurePosixPath(file).parent) for file in source.files}
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        below = "" if folder == "." else f"/{folder}"
        tree = await _json(client, f"{source.hub}/api/models/{source.repository}/tree/{commit}{below}")
        found |= {entry["path"]: entry for entry in tree}
    files = []
    for path in source.files:
        entry = found[path]
        large = entry.get("lfs")
        digest = f"sha256:{large['oid']}" if large else f"git:{entry['oid']}"
        url = f"{source.hub}/{source.repository}/resolve/{commit}/{path}"
        files.append(RemoteFile(PurePosixPath(path).name, url, int(entry["size"]), digest))
    return files


async def _in_vosks_list(source: VoskArchive, client: aiohttp.ClientSession) -> list[RemoteFile]:
    listed = {entry["name"]: entry for entry in await _json(client, source.listing)}
    entry = listed[source.listed]
    return [RemoteFile(f"{source.listed}.zip", str(entry["url"]), int(entry["size"]), f"md5:{entry['md5']}")]


async def _json(client: aiohttp.ClientSession, url: str) -> Any:
    async with asyncio.timeout(SILENT_SECONDS), client.get(url, raise_for_status=True) as answer:
        return await answer.json(content_type=None)


def _pinned(home: Path) -> list[RemoteFile]:
    """What was pulled before; nothing where that is not known."""
    try:
        kept = json.loads((home / LOCK).read_text(encoding="utf-8"))
        return [RemoteFile(**file) for file in kept["files"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


# --- downloads


async def _have(file: RemoteFile, home: Path, client: aiohttp.ClientSession, progress: Progress) -> RemoteFile:
    """The file, whole and right, in its place; what is pinned of it."""
    place, part = home / file.name, home / f"{file.name}.part"
    if file.name.endswith(".zip") and file.digest.startswith("sha256:") and _is_unpacked(home):
        return file
    if not (place.exists() and _matches(place, file)):
        await _download(file, part, client, progress)
        if not _matches(part, file):
            part.unlink()
            raise OffhookError(
                f"{file.name} is not what its publisher says: the checksum is another one.",
                remedy="Pull again. If that does not help, the file was changed on its way, or at the publisher's.",
                code="model_corrupt",
                retryable=True,
            )
        part.replace(place)
    return RemoteFile(file.name, file.url, file.size, f"sha256:{digest_of(place, 'sha256')}")


async def _download(file: RemoteFile, part: Path, client: aiohttp.ClientSession, progress: Progress) -> None:
    """Into the partial file, from where it ends."""
    there = _begun(part, file.size)
    if there == file.size:
        return
    async with client.get(file.url, headers={"Range": f"bytes={there}-"} if there else {}) as answer:
        answer.raise_for_status()
        if answer.status != PARTIAL:
            there = 0  # it begins anew
        with part.open("ab" if there else "wb") as out:
            while block := await _next_block(answer):
                out.write(block)
                there += len(block)
                progress(file.name, there, file.size)


def _begun(part: Path, size: int) -> int:
    """How much of it is here; what is too much is none of it."""
    there = part.stat().st_size if part.exists() else 0
    if there > size:
        part.unlink()
        return 0
    return there


async def _next_block(answer: aiohttp.ClientResponse) -> bytes:
    async with asyncio.timeout(SILENT_SECONDS):
        return await answer.content.read(BLOCK)


def _matches(path: Path, file: RemoteFile) -> bool:
    kind, _, wanted = file.digest.partition(":")
    return path.stat().st_size == file.size and digest_of(path, kind) == wanted.lower()


def digest_of(path: Path, kind: str) -> str:
    """`sha256`, `md5`, or `git`: the hash by which Git names this content."""
    made = hashlib.sha1(usedforsecurity=False) if kind == "git" else hashlib.new(kind, usedforsecurity=False)
    if kind == "git":
        made.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as content:
        while block := content.read(BLOCK):
            made.update(block)
    return made.hexdigest()


def _is_unpacked(home: Path) -> bool:
    return any(path.is_dir() for path in home.iterdir())


def _unpack(archive: Path, home: Path) -> None:
    """A model's own folder out of its archive; the archive goes."""
    unpacked = home / ".unpacked"
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(unpacked)
    except zipfile.BadZipFile as error:
        archive.unlink()
        raise OffhookError(
            f"{archive.name} is no ZIP: {error}.", remedy="Pull again.", code="model_corrupt", retryable=True
        ) from error
    inside = list(unpacked.iterdir())
    top = inside[0] if len(inside) == 1 and inside[0].is_dir() else unpacked
    for path in top.iterdir():
        path.replace(home / path.name)
    shutil.rmtree(unpacked)
    archive.unlink()


def _not_reached(model: Model, home: Path, why: str) -> OffhookError:
    return OffhookError(
        f"The publisher of {model.name} cannot be reached: {why}.",
        remedy=f"Pull again: what is here already is kept. {by_hand(model, home)}",
        code="model_not_reached",
        retryable=True,
    )
