"""What a flow decides before a call begins, resolved once into one frozen value; the contract's limits by name."""

from dataclasses import dataclass
from typing import Final

from offhook.protocol.session import Session
from offhook.protocol.speech_options import BargeInConfig

END_OF_TURN_SILENCE_MS: Final = 600
DEFAULT_BARGE_IN: Final = BargeInConfig()
FINAL_WORDS_WITHIN_MS: Final = 1000
LATE_WORDS_WITHIN_MS: Final = 10_000
PLAYBACK_STOPS_WITHIN_MS: Final = 1000
DIGIT_SENT_WITHIN_MS: Final = 2000
FAREWELL_WITHIN_MS: Final = 30_000
HUNG_UP_WITHIN_MS: Final = 5000


@dataclass(frozen=True, slots=True)
class Fallback:
    """What happens when the app is lost (D26), tried in this order: a second app at `url`, a transfer to
    `transfer_to`, else `apology` is spoken and the call ends."""

    apology: str = "Sorry, something went wrong. Please call again later."
    url: str | None = None
    transfer_to: str | None = None


@dataclass(frozen=True, slots=True)
class CallSettings:
    """All that the core needs to know of a call and its flow.

    `began_at` is the Unix time in ms at which `now` was 0. `sends_speech_started`: the app is on a WebSocket.
    `transcriber`, `languages` and `custom_vocabulary` are what recognition begins with: `configure_transcription`
    replaces parts of them (D13).
    """

    session: Session
    began_at: int
    sends_speech_started: bool = False
    reports_spoken_text: bool = False
    reports_language: bool = False
    reports_words: bool = False
    answer_after_ms: int = 0
    barge_in: BargeInConfig = DEFAULT_BARGE_IN
    end_of_turn_silence_ms: int = END_OF_TURN_SILENCE_MS
    max_call_ms: int = 7_200_000
    time_limit_notice: str = "This call has reached its time limit. Goodbye."
    answer_wait_ms: int = 5000
    fallback: Fallback = Fallback()
    default_country: str | None = None
    transcriber: str | None = None
    languages: tuple[str, ...] = ()
    custom_vocabulary: tuple[str, ...] = ()
