"""The rules that an app is judged by, each with its place in the contract. A number never changes its meaning."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from offhook.errors import SettingsInvalid


class Severity(StrEnum):
    """`wrong` breaks a call; `risky` breaks some, or does not do what was meant; `note` is harmless."""

    WRONG = "wrong"
    RISKY = "risky"
    NOTE = "note"


class Over(StrEnum):
    """Where a rule can be judged."""

    BOTH = "HTTP, WebSocket"
    HTTP = "HTTP"
    WEBSOCKET = "WebSocket"


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold, and what to do where it does not. `contract`: decisions (D17); `section`: of the contract."""

    number: str
    severity: Severity
    contract: tuple[str, ...]
    section: str
    title: str
    remedy: str
    over: Over = Over.BOTH

    @property
    def place(self) -> str:
        """`D17, section 3`."""
        return ", ".join((*self.contract, f"section {self.section}"))


_WRONG, _RISKY, _NOTE = Severity.WRONG, Severity.RISKY, Severity.NOTE
_HTTP, _WEBSOCKET = Over.HTTP, Over.WEBSOCKET

REACHED: Final = Rule(
    "C01", _WRONG, ("D30", "D41"), "6", "The app takes connections at its address.",
    "Start the app, or correct the address; a webhook has to take POST at this path.",
)  # fmt: skip
STATUS: Final = Rule(
    "C02", _WRONG, ("D26",), "6", "Every event is answered with a status of 200 to 299.",
    "See the app's log for this event; answer 204 to events that you have nothing to say to.", _HTTP,
)  # fmt: skip
IN_TIME: Final = Rule(
    "C03", _WRONG, ("D26",), "6", "Every event is answered within the time limit.",
    "Answer 204 at once and push the actions later, or start with a short speak.", _HTTP,
)  # fmt: skip
NO_REDIRECT: Final = Rule(
    "C04", _WRONG, ("D27",), "6", "The app does not redirect.",
    "Give the final address; look for a missing or a surplus slash at its end, and for http instead of https.",
)  # fmt: skip
READABLE: Final = Rule(
    "C05", _WRONG, ("D24", "D26"), "6", "What begins like JSON is one JSON document in UTF-8.",
    "Answer with one action, or with one array of actions, written by a JSON library.",
)  # fmt: skip
WITHIN_LIMIT: Final = Rule(
    "C06", _WRONG, ("D27",), "6", "An answer or message has at most 8 MiB.",
    "Send shorter audio, or several actions one after the other.",
)  # fmt: skip
WHOLE_ANSWER: Final = Rule(
    "C07", _WRONG, ("D26",), "6", "Every request gets a whole HTTP answer.",
    "See the app's log: the connection ended, or what came was no HTTP, before the answer was complete.", _HTTP,
)  # fmt: skip
PROMPT: Final = Rule(
    "C08", _NOTE, ("D25",), "6", "A caller who waits is usually answered within a second.",
    "Begin with a short speak or a mix_audio, and do the work in assistant_speech_ended.", _HTTP,
)  # fmt: skip
JSON_TYPE: Final = Rule(
    "C09", _NOTE, ("D24",), "6", "Actions are sent as application/json.",
    "Set Content-Type: application/json; Offhook reads JSON under any name, others do not.", _HTTP,
)  # fmt: skip
CLOSES_SAYING_SO: Final = Rule(
    "C11", _RISKY, ("D26",), "6", "Who closes a connection after an answer says so in that answer.",
    "Keep the connection open for at least 5 s, or answer with Connection: close; events sent meanwhile are lost.",
    _HTTP,
)  # fmt: skip
IDLE_IS_FREE: Final = Rule(
    "C12", _WRONG, ("D36",), "6", "A connection that is opened while it rings holds nobody up.",
    "Serve connections side by side (threads or async): Offhook opens one before the call is answered.",
)  # fmt: skip
TEXT_FRAMES: Final = Rule(
    "C13", _WRONG, ("D28",), "6", "Messages are text frames.",
    "Send text; binary frames are passed over.", _WEBSOCKET,
)  # fmt: skip
STAYS_CONNECTED: Final = Rule(
    "C14", _WRONG, ("D29",), "6", "The app keeps the connection for the whole call.",
    "Do not close it after an answer, and catch what a handler raises; the service closes after session_end.",
    _WEBSOCKET,
)  # fmt: skip
PONGS: Final = Rule(
    "C15", _WRONG, ("D29",), "6", "Pings are answered.",
    "Let your WebSocket library answer pings, also while a handler works.", _WEBSOCKET,
)  # fmt: skip
TAKES_RECONNECTION: Final = Rule(
    "C16", _WRONG, ("D29",), "6", "A call that was cut off goes on over a new connection, without session_start.",
    "Find the session by session.id, not by the connection.", _WEBSOCKET,
)  # fmt: skip
TAKES_BURST: Final = Rule(
    "C17", _WRONG, ("D22",), "2", "Events that come without waiting for answers are all taken.",
    "Read on while a handler works, and keep the events of a session in order.", _WEBSOCKET,
)  # fmt: skip

KNOWN_ACTION: Final = Rule(
    "C20", _WRONG, ("D17",), "3", "Every action has a known type.",
    "Use a type of section 3, spelt as it is there.",
)  # fmt: skip
HAS_TYPE: Final = Rule(
    "C21", _WRONG, ("D24",), "3", "Every action has a type.",
    "Add \"type\": an object without it means nothing to do.",
)  # fmt: skip
UNWRAPPED: Final = Rule(
    "C22", _WRONG, ("D24",), "3", "Actions stand alone or in one array, not inside anything else.",
    "Answer with the action, or with [action, action].",
)  # fmt: skip
ENCODED_ONCE: Final = Rule(
    "C23", _WRONG, ("D24",), "3", "Actions are encoded as JSON once.",
    "Give the object to the framework, or the JSON text as it is: not JSON in a JSON string.",
)  # fmt: skip
NOT_BARE_TEXT: Final = Rule(
    "C24", _RISKY, ("D24",), "3", "What is to be said comes as a speak action, not as text.",
    "Answer {\"type\": \"speak\", \"text\": …}; bare text is not spoken.",
)  # fmt: skip
NO_ECHO: Final = Rule(
    "C25", _NOTE, ("D24",), "3", "Events are not sent back.",
    "Answer with actions, or 204.",
)  # fmt: skip
NO_REPORTED_ERROR: Final = Rule(
    "C26", _WRONG, ("D28", "D33"), "6", "The app reports no error.",
    "See the app's log: it answered a valid event with an error, and the caller hears nothing.",
)  # fmt: skip
OWN_SESSION: Final = Rule(
    "C27", _WRONG, ("D17",), "3", "session_id is the id of the event's session.",
    "Copy event.session.id into every action.",
)  # fmt: skip
NAMES_SESSION: Final = Rule(
    "C28", _NOTE, ("D17",), "3", "Every action names its session.",
    "Add session_id: Offhook can do without where there is only one session, others cannot.",
)  # fmt: skip

VALID_ACTION: Final = Rule(
    "C30", _WRONG, ("D17",), "3", "Every action has its required fields, with values that are allowed.",
    "See section 3; an invalid action is dropped.",
)  # fmt: skip
SOMETHING_TO_SAY: Final = Rule(
    "C31", _WRONG, ("D17",), "3", "A speak has text or ssml.",
    "Give one of them.",
)  # fmt: skip
ONE_OF_BOTH: Final = Rule(
    "C32", _RISKY, ("D10",), "3", "A speak has not both text and ssml.",
    "Give one of them; of both, ssml is spoken.",
)  # fmt: skip
KNOWN_FIELDS: Final = Rule(
    "C33", _RISKY, ("D24",), "3", "Actions have no fields that do not exist.",
    "Look for a misspelt name: unknown keys are passed over.",
)  # fmt: skip
RIGHT_KIND: Final = Rule(
    "C34", _RISKY, ("D17",), "3", "Every field is of its kind (number, text, object).",
    "Send the kind that section 3 names: what Offhook can still read, others refuse.",
)  # fmt: skip
IN_RANGE: Final = Rule(
    "C35", _RISKY, ("D15", "D18"), "3", "Numbers are within their ranges.",
    "Send a number within the range; this one is clamped.",
)  # fmt: skip
KNOWN_STRATEGY: Final = Rule(
    "C36", _RISKY, ("D18",), "4", "barge_in has a known strategy.",
    "Use none, manual, minimum_characters or immediate; another one is read as minimum_characters.",
)  # fmt: skip
TIMEOUT_ARMED: Final = Rule(
    "C37", _NOTE, ("D23",), "5", "user_input_timeout_seconds is above 0.",
    "Leave it out where no timeout is wanted.",
)  # fmt: skip
VALID_VAD: Final = Rule(
    "C38", _RISKY, ("D14",), "3", "vad.end_of_turn_silence_ms is a whole number from 150 to 2000.",
    "Send such a number; the default holds instead of another one.",
)  # fmt: skip
REAL_WAV: Final = Rule(
    "C39", _WRONG, ("D11",), "3", "audio is a WAV file in base64.",
    "Encode the whole file, RIFF header included; not raw samples, MP3 or a URL.",
)  # fmt: skip
USUAL_WAV: Final = Rule(
    "C40", _NOTE, ("D11",), "3", "The WAV is 16 kHz, mono, 16-bit.",
    "Convert it once, before sending: ffmpeg -i in.wav -ar 16000 -ac 1 -c:a pcm_s16le out.wav",
)  # fmt: skip
SOUND_IN_WAV: Final = Rule(
    "C41", _RISKY, ("D11",), "3", "The WAV has sound in it.",
    "See how the file is made: it has a header and no samples.",
)  # fmt: skip
KNOWN_VOICE_ENGINE: Final = Rule(
    "C42", _NOTE, ("D9", "D10"), "7", "tts.provider is azure or eleven_labs.",
    "Another name is an engine of this operator's; where there is none of this name, the flow's own voice speaks.",
)  # fmt: skip
LANGUAGE_TAG: Final = Rule(
    "C43", _RISKY, ("D13",), "3", "Languages are BCP-47 tags.",
    "Send a tag such as en-US or de-DE; what is none is dropped.",
)  # fmt: skip
VOICE_NAME: Final = Rule(
    "C44", _NOTE, ("D9", "D10"), "7", "An Azure voice has an Azure voice's name, in the language asked for.",
    "Use a name such as en-US-JennyNeural; an unknown voice falls back to another one.",
)  # fmt: skip
KNOWN_EAR: Final = Rule(
    "C45", _RISKY, ("D13",), "7", "configure_transcription names a known provider.",
    "Use AZURE, DEEPGRAM, ELEVEN_LABS, SIPGATE_QWEN or SIPGATE_PARAKEET; the present one is kept otherwise.",
)  # fmt: skip
LISTS_FIT: Final = Rule(
    "C46", _RISKY, ("D13",), "3", "At most 4 languages and 100 phrases of 200 characters.",
    "Send fewer; the excess is dropped.",
)  # fmt: skip
CONFIGURES_SOMETHING: Final = Rule(
    "C47", _NOTE, ("D13",), "3", "configure_transcription configures something.",
    "Give provider, languages, custom_vocabulary or vad.",
)  # fmt: skip
PHONE_NUMBER: Final = Rule(
    "C48", _WRONG, ("D2",), "3", "A transfer's target is a number that can be called.",
    "Use E.164, such as +4921155660.",
)  # fmt: skip
E164: Final = Rule(
    "C49", _NOTE, ("D2",), "3", "Numbers are in E.164, without separators.",
    "Write +4921155660; a national form needs the flow's default country.",
)  # fmt: skip
CALLER_ID: Final = Rule(
    "C50", _NOTE, ("D15",), "3", "A transfer has caller_id_name and caller_id_number.",
    "Add both; Offhook fills them in, others require them.",
)  # fmt: skip
PROMPT_ADDRESS: Final = Rule(
    "C51", _RISKY, ("D16",), "3", "gather_dtmf's audio_url is a web address.",
    "Give an https:// address; without one there is no prompt.",
)  # fmt: skip
NOTHING_AFTER_THE_END: Final = Rule(
    "C52", _RISKY, ("D6",), "3", "Nothing is queued behind a hangup or a transfer that does not come back.",
    "Put hangup and transfer last: what waits behind them never runs.",
)  # fmt: skip
BARGE_IN_FIRST: Final = Rule(
    "C53", _WRONG, ("D7", "D8"), "3", "barge_in stands before the speech of the same answer.",
    "Send [barge_in, speak]: [speak, barge_in] drops the speak before anybody heard it.",
)  # fmt: skip
LAST_ONE_ARMS: Final = Rule(
    "C54", _RISKY, ("D23",), "5", "Of several speaks in an answer, the last one carries the timeout.",
    "Move user_input_timeout_seconds to the last speak: one without it cancels the one before.",
)  # fmt: skip
WELL_FORMED_SSML: Final = Rule(
    "C55", _RISKY, ("D10",), "3", "SSML is well-formed XML.",
    "Close every tag and escape &, < and > in what you put in; some engines refuse it otherwise.",
)  # fmt: skip
SSML_AS_SSML: Final = Rule(
    "C56", _RISKY, ("D10",), "3", "SSML is in ssml, not in text.",
    "Move it to ssml: text is read out as it stands, tags included.",
)  # fmt: skip
NOT_EMPTY: Final = Rule(
    "C57", _NOTE, ("D10",), "3", "What is to be said is not empty.",
    "Leave the speak out: an empty one plays nothing and still counts as an utterance.",
)  # fmt: skip

EXTRA_KEYS: Final = Rule(
    "C60", _WRONG, ("D5",), "2", "Keys that an app does not know change nothing.",
    "Read the fields that you need and ignore the rest: no validation with \"additionalProperties\": false.",
)  # fmt: skip
UNKNOWN_EVENT: Final = Rule(
    "C61", _RISKY, ("D32",), "2", "An event of an unknown type is answered with nothing to do.",
    "Give the branch for all other types a 204.",
)  # fmt: skip
ABSENT_FIELDS: Final = Rule(
    "C62", _RISKY, ("D5",), "1", "Optional fields may be absent.",
    "Require type and session.id only; barged_in absent is false, and text is absent where ssml is spoken.",
)  # fmt: skip
ODD_WORDS: Final = Rule(
    "C63", _WRONG, ("D20",), "2", "Whatever a caller says is taken.",
    "Expect any text: one letter, ten thousand characters, emoji, any script, quotes and angle brackets.",
)  # fmt: skip
ODD_NUMBERS: Final = Rule(
    "C64", _WRONG, ("D1", "D2"), "1", "Whoever calls is taken, outbound calls too.",
    "Expect numbers with and without +, short ones, \"anonymous\", and both directions.",
)  # fmt: skip
ALL_KEYS: Final = Rule(
    "C65", _WRONG, ("D38",), "2", "All twelve keys are taken, at any point of the call.",
    "Read digit as text: * and # are keys too, and nobody waits for the end of the greeting.",
)  # fmt: skip
BARGED_IN: Final = Rule(
    "C66", _WRONG, ("D19",), "4", "A turn that interrupted the assistant is taken.",
    "Handle user_speak with barged_in true like any other turn.",
)  # fmt: skip
SILENT_CALLER: Final = Rule(
    "C67", _WRONG, ("D23",), "5", "A caller who stays silent again and again is taken.",
    "Count user_input_timeout, and end the call or ask a person in after a few.",
)  # fmt: skip
COMES_BACK: Final = Rule(
    "C68", _RISKY, ("D15",), "2", "session_start may come again with the same id, when a transfer has failed.",
    "Take it as the caller being back, with or without transfer_failed; do not insist on a new id.",
)  # fmt: skip
TWICE: Final = Rule(
    "C69", _RISKY, ("D26",), "6", "An event that is delivered twice breaks nothing.",
    "Compare X-Event-Number where an event must not count twice; answer both.", _HTTP,
)  # fmt: skip
UNKNOWN_SESSION: Final = Rule(
    "C70", _RISKY, ("D29",), "2", "Events of a session that the app does not know are taken.",
    "Make the state anew when there is none: an app that was restarted gets no second session_start.",
)  # fmt: skip
END_UNANSWERED: Final = Rule(
    "C71", _NOTE, ("D4",), "2", "session_end is not answered with actions, and nothing comes after it.",
    "Answer 204: the line is gone, and the actions are dropped.",
)  # fmt: skip
ONSET_UNANSWERED: Final = Rule(
    "C72", _NOTE, (), "2", "user_speech_started is not answered with actions.",
    "Answer to user_speak: actions to this event are dropped.", _WEBSOCKET,
)  # fmt: skip
STOPS_TALKING: Final = Rule(
    "C73", _RISKY, ("D3",), "2", "The assistant lets the caller speak some day.",
    "Do not answer every assistant_speak or assistant_speech_ended with another speak.",
)  # fmt: skip
GREETS: Final = Rule(
    "C74", _NOTE, (), "2", "session_start is answered with something to hear.",
    "Greet the caller, who otherwise hears nothing.",
)  # fmt: skip
ANSWERS_WORDS: Final = Rule(
    "C75", _NOTE, (), "2", "user_speak is answered with something.",
    "Answer with actions; over a WebSocket an answer may come at any time.",
)  # fmt: skip

KEPT_APART: Final = Rule(
    "C80", _WRONG, ("D17", "D35"), "8", "Calls at the same time are kept apart.",
    "Keep the state of each call under its session.id, not in global variables.",
)  # fmt: skip
MANY_AT_ONCE: Final = Rule(
    "C81", _WRONG, ("D26", "D35"), "8", "Many calls at once are answered as one is.",
    "Serve requests side by side, and do not wait in a handler while holding what the others need.",
)  # fmt: skip
LIVES_ON: Final = Rule(
    "C82", _WRONG, ("D26", "D29"), "6", "A broken request or a lost connection does no harm to other calls.",
    "Catch what it raises where the request ends, so that the app goes on serving.",
)  # fmt: skip
REFUSES_NO_JSON: Final = Rule(
    "C83", _NOTE, ("D32",), "8", "A body that is no JSON is refused with 400.",
    "Answer 400: strangers send anything.", _HTTP,
)  # fmt: skip
TOKEN_TAKEN: Final = Rule(
    "C84", _WRONG, ("D32", "D35a"), "6", "The right token is let in.",
    "Give the app's token by --token, and compare it with the header X-API-TOKEN.",
)  # fmt: skip
TOKEN_CHECKED: Final = Rule(
    "C85", _RISKY, ("D32", "D35a"), "6", "A wrong or missing token is refused with 401 or 403.",
    "Compare the header X-API-TOKEN with the flow's token, in constant time, before the body is read.",
)  # fmt: skip
SIGNATURE_CHECKED: Final = Rule(
    "C86", _RISKY, (), "6", "A wrong or missing signature is refused.",
    "Verify webhook-id, webhook-timestamp and webhook-signature as Standard Webhooks has it.", _HTTP,
)  # fmt: skip

RULES: Final[tuple[Rule, ...]] = tuple(
    sorted((value for value in list(globals().values()) if isinstance(value, Rule)), key=lambda rule: rule.number)
)


def selected(wanted: tuple[str, ...]) -> frozenset[Rule]:
    """The rules of these numbers (`C27`), decisions (`D17`) and sections (`§3`); of none, all.

    Raises:
        SettingsInvalid: one of them stands for no rule.
    """
    found: set[Rule] = set()
    for name in wanted:
        these = {rule for rule in RULES if _stands_for(name.strip().upper(), rule)}
        if not these:
            raise SettingsInvalid(
                f"No rule is called {name!r}, and none belongs to it.",
                remedy="Give a rule (C27), a decision of the contract (D17) or a section (§3).",
            )
        found |= these
    return frozenset(found or RULES)


def _stands_for(name: str, rule: Rule) -> bool:
    return name == rule.number or name in {d.upper() for d in rule.contract} or name == f"§{rule.section}"
