"""Languages and vocabulary as Deepgram's models take them (its pages "Models & Languages Overview", "Nova-3 Language
Prompting", "Keyterm Prompting" and "Keywords", as of November 2026)."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

MULTI: Final = "multi"
MAX_TERMS: Final = 100
MAX_KEYTERM_TOKENS: Final = 500
"""Over that, Deepgram refuses, or hears nothing and does not say so. It does not say either how it counts, so we count
more than any tokenizer would: a token for every two bytes."""


def _set_of(tags: str) -> frozenset[str]:
    return frozenset(tags.split())


_NOVA_3_MULTI: Final = _set_of(
    "af ar be bn bs bg ca zh hr cs da nl en et fi fr gl de el gu he hi hu id it ja kn ko lv lt mk ms mr no fa "
    "pl pt ro ru sr sk sl es sv tl ta te th tr uk vi xh zu"
)
_NOVA_2_MULTI: Final = frozenset({"en", "es"})
_WITH_REGION: Final = {
    tag.lower(): tag
    for tag in _set_of(
        "da-DK de-CH en-AU en-GB en-IN en-NZ en-US es-419 fr-CA ko-KR nl-BE pt-BR "
        "pt-PT sv-SE th-TH zh-CN zh-Hans zh-Hant zh-HK zh-TW"
    )
}
"""Tags that are languages of their own there; of all others the part before the hyphen is known."""

_NORWEGIAN: Final = frozenset({"nb", "nn"})
_NO_WORD: Final = re.compile(r"[^\w'’-]+")


def language_parameters(model: str, languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The parameters for these BCP-47 languages: several, and none at all, are heard by a multilingual model where
    there is one that has all of them; else the first one counts."""
    multi = _multilingual(model)
    bases = [_base(tag) for tag in languages]
    if multi is not None and len(languages) != 1 and multi.issuperset(bases):
        yield "language", MULTI
        if multi is _NOVA_3_MULTI:
            for hint in dict.fromkeys(bases):
                yield "language_hint", hint
    elif languages:
        yield "language", _WITH_REGION.get(languages[0].lower(), bases[0])


def vocabulary_parameters(model: str, vocabulary: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The parameters that boost these words and phrases: key terms for Nova-3, single key words for what came before
    it. What is over the limits is dropped."""
    if not _is_nova_3(model):
        words = dict.fromkeys(word for phrase in vocabulary for word in _NO_WORD.sub(" ", phrase).split())
        yield from (("keywords", word) for word in list(words)[:MAX_TERMS])
        return
    tokens = 0
    for phrase in list(dict.fromkeys(vocabulary))[:MAX_TERMS]:
        tokens += sum(len(word.encode()) // 2 + 1 for word in phrase.split())
        if tokens > MAX_KEYTERM_TOKENS:
            return
        yield "keyterm", phrase


def _multilingual(model: str) -> frozenset[str] | None:
    return _NOVA_3_MULTI if _is_nova_3(model) else _NOVA_2_MULTI if model.startswith("nova-2") else None


def _is_nova_3(model: str) -> bool:
    return model.startswith("nova-3")


def _base(tag: str) -> str:
    base = tag.lower().partition("-")[0]
    return "no" if base in _NORWEGIAN else base
