"""A server that speaks OpenAI's HTTP protocol: OpenAI itself, vLLM, faster-whisper servers, Kokoro and others."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from offhook.speech.provider_trouble import ProviderTrouble, TroubleCode

SILENT_SECONDS: Final = 10.0
"""An answer, or the next piece of it, that has not come by then is not waited for any longer."""
CHECK_SECONDS: Final = 5.0
NO_LIST: Final = frozenset({405, 501})
USUAL_END: Final = "/v1"


@dataclass(frozen=True, slots=True)
class OpenAiServer:
    """`name` is the operator's; `url` ends as OpenAI's own (`https://api.openai.com/v1`); `key` is sent where there is
    one. `models`: the settings whose values it must know."""

    name: str
    url: str
    key: str | None = field(default=None, repr=False)
    models: tuple[str, ...] = ("ear_model",)

    @property
    def trouble(self) -> ProviderTrouble:
        """What can go wrong with it."""
        ending = "" if self.url.rstrip("/").endswith(USUAL_END) else USUAL_END
        place = f"speech.openai.{self.name}"
        return ProviderTrouble(f"The server '{self.name}'", place, models=self.models, ending=ending)

    @asynccontextmanager
    async def asked(
        self, client: aiohttp.ClientSession, path: str, *, taken: frozenset[int] = frozenset({200}), **body: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask by POST; `body` as aiohttp's `data` or `json`. Raises ProviderFailed for an answer with another status
        than those `taken`, and for what goes wrong with the connection inside the block."""
        trouble = self.trouble
        try:
            async with client.post(self.url + path, headers=self._headers, allow_redirects=False, **body) as answer:
                if answer.status not in taken:
                    raise trouble.status(answer.status, await answer.text(errors="replace"))
                yield answer
        except (aiohttp.ClientError, OSError) as error:
            raise trouble.exception(error) from error

    async def check(self, client: aiohttp.ClientSession, model: str) -> str:
        """Whether address, key and model are right, by its list of models. Raises ProviderFailed; ProviderDoubted where
        nothing is found at the list's address, which a wrong address and a server without a list have in common."""
        trouble = self.trouble
        try:
            async with (
                asyncio.timeout(CHECK_SECONDS),
                client.get(f"{self.url}/models", headers=self._headers, allow_redirects=False) as answer,
            ):
                if answer.status == 404:
                    what = f"answers 404 to {self.url}/models: it has no list to find the model {model} in"
                    raise trouble.doubted(what, "Is {address} right{ending}? A server that has no list works without.")
                if answer.status in NO_LIST:
                    return f"{self.url} answers; it has no list to find the model {model} in"
                if answer.status != 200:
                    raise trouble.status(answer.status, await answer.text(errors="replace"))
                listed = models_in(await answer.json(content_type=None))
        except TimeoutError:
            raise trouble.silent(CHECK_SECONDS) from None
        except (aiohttp.ClientError, OSError) as error:
            raise trouble.exception(error) from error
        except ValueError as error:
            raise trouble.garbled(str(error)) from error
        if model not in listed:
            some = ", ".join(sorted(listed)[:10])
            remedy = "Set {models} to a model of this server."
            said = f"it has {some}" if some else ""
            raise trouble.of(TroubleCode.GARBLED, f"has no model {model}", said, remedy=remedy)
        return f"{self.url} answers and has the model {model}"

    @property
    def _headers(self) -> Mapping[str, str]:
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}


def models_in(answer: Any) -> set[str]:
    """The names in an answer of `/models`. Raises ValueError when it is none."""
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
        raise ValueError("no list of models")
    return {str(model["id"]) for model in answer["data"] if isinstance(model, dict) and "id" in model}
