"""What was heard of an utterance that was cut, for flows that ask for it (contract D5)."""

from offhook.conversation.inputs import Ms


def spoken_text(text: str | None, ssml: str | None, played_ms: Ms, duration_ms: Ms | None) -> str | None:
    """The words that were played, in proportion to the time; whole words only. None when it cannot be known."""
    words = text if ssml is None else _without_tags(ssml)
    if words is None:
        return None
    words = words.strip()
    if duration_ms is None:
        return None if words else ""
    if played_ms >= duration_ms:
        return words
    length = len(words) * max(0, played_ms) // max(1, duration_ms)
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
