"""`offhook chat`: a call to an app in text, in the terminal. No audio, no server: the SDK is enough."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from offhook.conversation.defaults import CallSettings
from offhook.errors import OffhookError
from offhook.protocol.actions import Action, Audio, Hangup, Speak, Transfer
from offhook.protocol.session import Session
from offhook.protocol.speech_options import OWN_VOICES, TtsConfig, TtsProvider
from offhook.service.app_loader import is_url
from offhook.service.commands.chat_app import open_app
from offhook.service.commands.options import ChatOptions
from offhook.service.commands.terminal import Terminal
from offhook.testing.app_of_test import app_of_test
from offhook.testing.played_call import CallStuck
from offhook.testing.rehearsal import BEGAN_AT, CALLER, Rehearsal
from offhook.testing.timeline import shown_fields
from offhook.testing.written_test import Talk, app_from, file_for, name_of, refuse_existing, save, written_test

HELP: Final = """Each line is something you say. Besides:
  /press 1          press keys
  /silence 8        say nothing for 8 seconds
  /interrupt text   say it into what the assistant is saying
  /answered  /failed busy  what becomes of a transfer (busy, rejected, no_answer, failed)
  /ended            the target of a transfer hangs up
  /hangup           hang up, and stay here
  /timeline         the whole call so far
  /again            the same call again, with the app as it is in its file now; /again 2 only its first two turns
  /edit 2 text      the same call again, but turn 2 is this
  /undo             the same call again without its last turn
  /save tests/      the call as a test; /save tests/test_x.py names it
  /quit             hang up, and leave (Ctrl-D too)"""

_OF_THE_TALK: Final = frozenset(("/again", "/edit", "/undo", "/save"))
CAUSES: Final = ("busy", "rejected", "no_answer", "failed", "not_allowed")

WANTED: Final = {
    "/press": "/press wants keys, such as: /press 1#",
    "/silence": "/silence wants seconds, such as: /silence 8",
    "/failed": f"/failed wants a cause, such as: /failed busy ({', '.join(CAUSES)}).",
    "/interrupt": "/interrupt wants what you say, such as: /interrupt one moment",
    "/again": "/again wants no number, or that of a turn, such as: /again 2",
    "/edit": "/edit wants the number of a turn and what you do instead, such as: /edit 2 /press 1",
    "/undo": "/undo takes back a turn, and there is none.",
    "/save": "/save wants a folder or a new file, such as: /save tests/",
}
OVER: Final = "The call is over: /again and /edit call anew, /save keeps it as a test, Ctrl-D leaves."


def run(options: ChatOptions, terminal: Terminal) -> int:
    """Talk until the person at the terminal leaves. Raises OffhookError when the app cannot be opened."""

    def show(failure: str) -> None:
        _warn(terminal, failure, "red")

    def dial() -> Rehearsal:
        app = open_app(options.app, options.token, show)
        session = Session(
            id=str(uuid.uuid4()),
            account_id=CALLER.account_id,
            phone_number=options.called,
            direction="inbound",
            from_phone_number=options.caller,
            to_phone_number=options.called,
        )
        return Rehearsal(
            app, CallSettings(session=session, began_at=BEGAN_AT, sends_speech_started=not is_url(options.app))
        )

    first = dial()
    # A loop that runs only while somebody acts: time stands still at the prompt, and Ctrl-C works there.
    with asyncio.Runner() as runner:
        chat = Chat(options.app, first, dial, terminal, runner.run)
        chat.begin()
        while not chat.over:
            line = terminal.ask(f"you {chat.turn}> ")
            chat.take("/quit" if line is None else line.strip())
    return 0


class Chat:
    """Calls to one app, line by line. What the app answers is shown when it answers, cut speech when it is cut.

    Args:
        app: the app as it was named, for tests of it.
        call: the first call.
        dial: gives another one, with the app loaded afresh.
        run: runs what the caller does.
    """

    def __init__(
        self,
        app: str,
        call: Rehearsal,
        dial: Callable[[], Rehearsal],
        terminal: Terminal,
        run: Callable[..., Any],
    ) -> None:
        self._app: Final = app
        self._call = call
        self._dial: Final = dial
        self._terminal: Final = terminal
        self._run: Final = run
        self._turns: list[str] = []
        self._shown_actions = 0
        self._shown_dropped = 0
        self._heard: list[str] = []
        self.over = False

    @property
    def turn(self) -> int:
        """The number of the turn that comes next."""
        return len(self._turns) + 1

    def begin(self) -> None:
        """The caller dials."""
        self._terminal.line("/help shows what else you can do; Ctrl-D hangs up.", "grey")
        self._do(self._call.starts)

    def take(self, line: str) -> None:
        """One line of the person at the terminal."""
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        match command:
            case "":
                pass
            case "/help":
                self._write(HELP)
            case "/timeline":
                self._write(self._call.timeline)
            case "/quit":
                self.over = True
                if not self._call.ended:
                    self._do(self._call.hangs_up)
            case "/again" if not rest or self._is_turn(rest):
                self._anew(self._turns[: int(rest) if rest else None])
            case "/edit" if self._is_turn(rest.partition(" ")[0]) and (instead := rest.partition(" ")[2].strip()):
                place = int(rest.partition(" ")[0]) - 1
                self._anew([*self._turns[:place], instead, *self._turns[place + 1 :]])
            case "/undo" if self._turns:
                self._anew(self._turns[:-1])
            case "/save" if rest:
                self._save(Path(rest))
            case _ if command in WANTED and command in _OF_THE_TALK:
                self._explain(WANTED[command])
            case _ if self._call.ended:
                self._explain(OVER)
            case _:
                self._act(line, command, rest)

    def _act(self, line: str, command: str, rest: str) -> None:
        """One turn of the caller; it counts when it could be done."""
        call = self._call
        match command:
            case "/press" if rest and not set(rest) - set("0123456789*#"):
                done = self._do(lambda: call.presses(rest))
            case "/silence" if _is_seconds(rest):
                done = self._do(lambda: call.stays_silent(float(rest)))
            case "/interrupt" if rest:
                done = self._do(lambda: call.interrupts(rest))
            case "/hangup":
                done = self._do(call.hangs_up)
            case "/answered":
                done = self._do(call.transfer_is_answered)
            case "/failed" if not rest or rest in CAUSES:
                done = self._do(lambda: call.transfer_fails(rest or "no_answer"))
            case "/ended":
                done = self._do(call.target_hangs_up)
            case _ if command.startswith("/"):
                done = False
                self._explain(f"{WANTED.get(command, f'There is no {command}.')} /help shows all.")
            case _:
                done = self._do(lambda: call.says(line))
        if done:
            self._turns.append(line)

    def _write(self, text: str) -> None:
        for line in text.splitlines():
            self._terminal.line(line, "grey")

    def _explain(self, reason: str) -> None:
        _warn(self._terminal, reason, "yellow")

    def _is_turn(self, text: str) -> bool:
        return text.isdecimal() and 1 <= int(text) <= len(self._turns)

    def _anew(self, turns: Sequence[str]) -> None:
        """Call again, and take these turns one after the other, as far as the call goes."""
        try:
            call = self._dial()
        except (OffhookError, SyntaxError, ImportError) as error:
            # The app's file was changed since the last call, and is not right yet.
            self._explain(f"The app cannot be loaded: {error}")
            return
        self._call, self._turns, self._heard = call, [], []
        self._shown_actions = self._shown_dropped = 0
        self._terminal.line("(a new call)", "grey")
        self._do(call.starts)
        for turn in turns:
            self._terminal.line(f"you {self.turn}> {turn}", "grey")
            self.take(turn)

    def _save(self, where: Path) -> None:
        """The call so far as a test of the app."""
        file = file_for(where, "talk")
        try:
            refuse_existing(file)
            named = app_from(self._app, file.parent)
            talk = Talk(self._call.deeds, self._call.settings, "A talk in `offhook chat`, as a test.", self._call.heard)
            name = name_of(file.stem.removeprefix("test_"), self._call.settings.session)
            save(self._run(written_test(talk, lambda: app_of_test(self._app, Path()), named, name)), file)
        except OffhookError as error:
            self._explain(str(error))
        else:
            self._terminal.line(f"written: {file}", "green")

    def _do(self, act: Callable[[], Awaitable[object]]) -> bool:
        """Whether it could be done."""
        done: bool = self._run(self._acted(act))
        if self._call.ended:
            self._terminal.line("The call is over." if self.over else OVER, "yellow")
        return done

    async def _acted(self, act: Callable[[], Awaitable[object]]) -> bool:
        done = True
        try:
            await act()
            # Nobody wants to talk into a farewell: the call goes on to its end by itself.
            if any(isinstance(action, Hangup) for action in self._call.actions[self._shown_actions :]):
                await self._call.listens()
        except CallStuck as stuck:
            done = False
            self._explain(stuck.message)
        self._show()
        return done

    def _show(self) -> None:
        for before, now in zip(self._heard, self._call.heard, strict=False):
            if now != before:
                self._terminal.line(f"  (cut: {now})", "yellow")
        self._heard = list(self._call.heard)
        for action in self._call.actions[self._shown_actions :]:
            text, colour = _described(action)
            self._terminal.line(text, colour)
            if isinstance(action, Speak) and action.tts is not None:
                self._terminal.line(f"  [voice {_voice(action.tts)}]", "grey")
        self._shown_actions = len(self._call.actions)
        for dropped in self._call.dropped[self._shown_dropped :]:
            self._terminal.line(f"  ! dropped {dropped.path}: {dropped.remedy}", "red")
        self._shown_dropped = len(self._call.dropped)


def _described(action: Action) -> tuple[str, str]:
    match action:
        case Speak(text=text, ssml=ssml):
            return f"assistant> {ssml if text is None else text}", "green"
        case Audio():
            return f"assistant> [audio {shown_fields(action)}]", "green"
        case Transfer(target_phone_number=target):
            return f"  [transfer to {target}: /answered or /failed]", "blue"
        case _:
            return f"  [{action.type} {shown_fields(action)}".rstrip() + "]", "blue"


def _voice(tts: TtsConfig) -> str:
    """Who shall speak. In text nobody does, and which engines there are is the service's to say."""
    asked = " ".join(filter(None, (tts.provider, tts.language, tts.voice))) or "of the flow"
    if tts.provider in {"", *TtsProvider, *OWN_VOICES}:
        return asked
    return f"{asked}: a service without an engine '{tts.provider}' speaks with the flow's own"


def _warn(terminal: Terminal, text: str, colour: str) -> None:
    for number, line in enumerate(text.splitlines()):
        terminal.line(f"  {' ' if number else '!'} {line}", colour)


def _is_seconds(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
