"""`offhook chat`: a call to an app in text, in the terminal. No audio, no server: the SDK is enough."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from offhook.conversation.defaults import CallSettings
from offhook.protocol.actions import Action, Audio, Hangup, Speak, Transfer
from offhook.protocol.session import Session
from offhook.service.app_loader import is_url
from offhook.service.commands.chat_app import open_app
from offhook.service.commands.options import ChatOptions
from offhook.service.commands.terminal import Terminal
from offhook.testing.played_call import CallStuck
from offhook.testing.rehearsal import BEGAN_AT, CALLER, Rehearsal
from offhook.testing.timeline import shown_fields

HELP: Final = """Each line is something you say. Besides:
  /press 1          press keys
  /silence 8        say nothing for 8 seconds
  /interrupt text   say it into what the assistant is saying
  /answered  /failed busy  what becomes of a transfer (busy, rejected, no_answer, failed)
  /ended            the target of a transfer hangs up
  /timeline         the whole call so far
  /quit             hang up (Ctrl-D too)"""

CAUSES: Final = ("busy", "rejected", "no_answer", "failed", "not_allowed")

WANTED: Final = {
    "/press": "/press wants keys, such as: /press 1#",
    "/silence": "/silence wants seconds, such as: /silence 8",
    "/failed": f"/failed wants a cause, such as: /failed busy ({', '.join(CAUSES)}).",
    "/interrupt": "/interrupt wants what you say, such as: /interrupt one moment",
}


def run(options: ChatOptions, terminal: Terminal) -> int:
    """Talk until somebody hangs up. Raises OffhookError when the app cannot be opened."""
    app = open_app(options.app, options.token, lambda failure: terminal.line(f"  ! {failure}", "red"))
    session = Session(
        id=str(uuid.uuid4()),
        account_id=CALLER.account_id,
        phone_number=options.called,
        direction="inbound",
        from_phone_number=options.caller,
        to_phone_number=options.called,
    )
    settings = CallSettings(session=session, began_at=BEGAN_AT, sends_speech_started=not is_url(options.app))
    # A loop that runs only while somebody acts: time stands still at the prompt, and Ctrl-C works there.
    with asyncio.Runner() as runner:
        chat = Chat(Rehearsal(app, settings), terminal, runner.run)
        chat.begin()
        while not chat.over:
            line = terminal.ask("you> ")
            chat.take("/quit" if line is None else line.strip())
    return 0


class Chat:
    """One call, line by line. What the app answers is shown when it answers, cut speech when it is cut."""

    def __init__(self, call: Rehearsal, terminal: Terminal, run: Callable[..., object]) -> None:
        self._call: Final = call
        self._terminal: Final = terminal
        self._run: Final = run
        self._shown_actions = 0
        self._shown_dropped = 0
        self._heard: list[str] = []
        self.over = False

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
                self._terminal.line(HELP, "grey")
            case "/timeline":
                self._terminal.line(self._call.timeline, "grey")
            case "/quit":
                self._do(self._call.hangs_up)
                self.over = True
            case "/press" if rest and not set(rest) - set("0123456789*#"):
                self._do(lambda: self._call.presses(rest))
            case "/silence" if _is_seconds(rest):
                self._do(lambda: self._call.stays_silent(float(rest)))
            case "/interrupt" if rest:
                self._do(lambda: self._call.interrupts(rest))
            case "/answered":
                self._do(self._call.transfer_is_answered)
            case "/failed" if not rest or rest in CAUSES:
                self._do(lambda: self._call.transfer_fails(rest or "no_answer"))
            case "/ended":
                self._do(self._call.target_hangs_up)
            case _ if command.startswith("/"):
                reason = WANTED.get(command, f"There is no {command}.")
                self._terminal.line(f"  ! {reason} /help shows all.", "yellow")
            case _:
                self._do(lambda: self._call.says(line))

    def _do(self, act: Callable[[], Awaitable[object]]) -> None:
        self._run(self._acted(act))
        if self._call.ended and not self.over:
            self._terminal.line("The call is over.", "yellow")
            self.over = True

    async def _acted(self, act: Callable[[], Awaitable[object]]) -> None:
        try:
            await act()
            # Nobody wants to talk into a farewell: the call goes on to its end by itself.
            if any(isinstance(action, Hangup) for action in self._call.actions[self._shown_actions :]):
                await self._call.listens()
        except CallStuck as stuck:
            self._terminal.line(f"  ! {stuck.message}", "yellow")
        self._show()

    def _show(self) -> None:
        for before, now in zip(self._heard, self._call.heard, strict=False):
            if now != before:
                self._terminal.line(f"  (cut: {now})", "yellow")
        self._heard = list(self._call.heard)
        for action in self._call.actions[self._shown_actions :]:
            text, colour = _described(action)
            self._terminal.line(text, colour)
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


def _is_seconds(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
