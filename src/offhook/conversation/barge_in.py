"""When a turn of the caller cuts what the assistant says (contract section 4, D18, D19).

Two things must hold. The turn *asks* for it while the utterance plays: by an onset (`immediate`), or by words that
come (`immediate`: any; `minimum_characters`: enough). And the caller is heard after the protection of `allow_after_ms`:
words spoken before the first packet or inside the protection alone cut nothing; who keeps talking cuts when it ends.
"""

from typing import assert_never

from offhook.conversation.caller_turn import Turn
from offhook.conversation.inputs import Ms
from offhook.conversation.queue_items import Utterance
from offhook.protocol.speech_options import BargeInStrategy


def protected_until(utterance: Utterance) -> Ms | None:
    """When the utterance may be cut; None before its first packet."""
    return None if utterance.started_at is None else utterance.started_at + utterance.barge_in.allow_after_ms


def asks_to_cut(turn: Turn, utterance: Utterance) -> bool:
    """Whether the turn has met the strategy's rule while the utterance played."""
    if utterance.started_at is None:
        return False
    new_words = turn.text if turn.words_at is not None and turn.words_at >= utterance.started_at else ""
    match utterance.barge_in.strategy:
        case BargeInStrategy.NONE | BargeInStrategy.MANUAL:
            return False
        case BargeInStrategy.IMMEDIATE:
            return turn.onset_at >= utterance.started_at or bool(new_words)
        case BargeInStrategy.MINIMUM_CHARACTERS:
            return len(new_words) >= utterance.barge_in.minimum_characters
        case unknown:
            assert_never(unknown)


def cuts(turn: Turn, utterance: Utterance, now: Ms, *, voice_now: bool) -> bool:
    """Whether the turn cuts the utterance at this moment."""
    from_then = protected_until(utterance)
    if from_then is None or now < from_then or not asks_to_cut(turn, utterance):
        return False
    return voice_now or turn.last_voice_at >= from_then


def cut_waits_until(turn: Turn | None, utterance: Utterance | None) -> Ms | None:
    """When a caller who is speaking now and asks to cut is through the protection."""
    if turn is None or utterance is None or not asks_to_cut(turn, utterance):
        return None
    return protected_until(utterance)
