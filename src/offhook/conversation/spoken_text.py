"""What was heard of an utterance that was cut, for flows that ask for it (contract D5)."""

from offhook.conversation.inputs import Ms


def spoken_text(
    text: str | None, ssml: str | None, played_ms: Ms, duration_ms: Ms | None, characters: int | None = None
) -> str | None:
    """The words that were played; whole words only. `characters`: how many the voice knows to have been said; else they
    are counted in proportion to the time. None when it cannot be known."""
    words = text if ssml is None else _without_tags(ssml)
    if words is None:
        return None
    if duration_ms is not None and played_ms >= duration_ms:
        return words.strip()
    if characters is not None:
        return _whole_words(words, characters)
    words = words.strip()
    if duration_ms is None:
        return None if words else ""
    return _whole_words(words, len(words) * max(0, played_ms) // max(1, duration_ms))


def _whole_words(words: str, length: int) -> str:
    heard, rest = words[:length], words[length:]
    if rest and not rest[0].isspace() and not heard[-1:].isspace():
        heard = heard[: heard.rfind(" ") + 1]
    return heard.strip()


def _without_tags(ssml: str) -> str:
    kept: list[str] = []
    depth = 0
    for letter in ssml:
        if letter == "<":
            depth += 1
        elif letter == ">" and depth:
            depth -= 1
        elif not depth:
            kept.append(letter)
    return " ".join("".join(kept).split())
