"""A telephone made of PJSIP, as a program: commands as JSON lines on standard input, what happens on standard output.

A process of its own, because PJSIP's assertions end the process they happen in. `pjsua.py` starts and drives it.
"""

import json
import os
import select
import sys
from typing import Any, Final

import pjsua2

Settings = dict[str, Any]


def tell(kind: str, **more: object) -> None:
    """Say what happened."""
    sys.stdout.write(json.dumps({"type": kind, **more}) + "\n")
    sys.stdout.flush()


class PhoneCall(pjsua2.Call):  # type: ignore[misc]  # PJSIP has no types
    """One call: it plays the telephone's WAV to the other side and records what it hears."""

    def __init__(self, phone: "Phone", call_id: int = pjsua2.PJSUA_INVALID_ID) -> None:
        super().__init__(phone.account, call_id)
        self.phone: Final = phone
        self.player: Any = None
        self.recorder: Any = None

    def onCallState(self, prm: Any) -> None:  # noqa: N802 - PJSIP's name
        del prm
        info = self.getInfo()
        tell(
            "state",
            call=self.getId(),
            state=info.stateText,
            code=int(info.lastStatusCode),
            reason=info.lastReason,
            remote=info.remoteUri,
        )
        if info.state == pjsua2.PJSIP_INV_STATE_DISCONNECTED:
            self.phone.over(self)

    def onCallMediaState(self, prm: Any) -> None:  # noqa: N802
        del prm
        info = self.getInfo()  # its parts live as long as it does
        for index, media in enumerate(info.media):
            if media.type != pjsua2.PJMEDIA_TYPE_AUDIO:
                continue
            tell("media", call=self.getId(), status=int(media.status))
            if media.status == pjsua2.PJSUA_CALL_MEDIA_ACTIVE:
                stream = self.getStreamInfo(index)
                tell("codec", call=self.getId(), codec=stream.codecName, rate=int(stream.codecClockRate))
                self._connect(self.getAudioMedia(index))

    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802
        tell("digit", call=self.getId(), digit=prm.digit, method=int(prm.method))

    def onCallTransferStatus(self, prm: Any) -> None:  # noqa: N802
        tell("transfer", call=self.getId(), code=int(prm.statusCode), final=bool(prm.finalNotify))

    def onCallTransferRequest(self, prm: Any) -> None:  # noqa: N802
        tell("asked_to_transfer", call=self.getId(), target=prm.dstUri)
        prm.newCall = self.phone.keep(PhoneCall(self.phone))

    def onCallReplaceRequest(self, prm: Any) -> None:  # noqa: N802
        tell("asked_to_replace", call=self.getId())
        prm.statusCode = 200

    def onCallReplaced(self, prm: Any) -> None:  # noqa: N802
        self.phone.keep(PhoneCall(self.phone, prm.newCallId))
        tell("replaced", call=self.getId(), by=int(prm.newCallId))

    def _connect(self, media: Any) -> None:
        if self.recorder is None:
            self.recorder = pjsua2.AudioMediaRecorder()
            self.recorder.createRecorder(f"{self.phone.folder}/heard{self.phone.count_recording()}.wav")
        media.startTransmit(self.recorder)
        if self.phone.source and self.player is None:
            self.player = pjsua2.AudioMediaPlayer()
            self.player.createPlayer(self.phone.source, pjsua2.PJMEDIA_FILE_NO_LOOP)
        if self.player is not None:
            self.player.startTransmit(media)

    def play(self, wav: str) -> None:
        """Play another WAV from now on."""
        info = self.getInfo()
        for index, media in enumerate(info.media):
            if media.type == pjsua2.PJMEDIA_TYPE_AUDIO and media.status == pjsua2.PJSUA_CALL_MEDIA_ACTIVE:
                self.player = pjsua2.AudioMediaPlayer()
                self.player.createPlayer(wav, pjsua2.PJMEDIA_FILE_NO_LOOP)
                self.player.startTransmit(self.getAudioMedia(index))


class PhoneAccount(pjsua2.Account):  # type: ignore[misc]  # PJSIP has no types
    """Takes calls as the telephone is told to."""

    def __init__(self, phone: "Phone") -> None:
        super().__init__()
        self._phone: Final = phone

    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802
        call = self._phone.keep(PhoneCall(self._phone, prm.callId))
        tell("incoming", call=prm.callId, remote=call.getInfo().remoteUri, message=prm.rdata.wholeMsg)
        answer = pjsua2.CallOpParam()
        answer.statusCode = self._phone.answers
        call.answer(answer)

    def onRegState(self, prm: Any) -> None:  # noqa: N802
        tell("registered", code=int(prm.code))


class Phone:
    """The telephone."""

    def __init__(self, settings: Settings) -> None:
        self.folder: Final = str(settings["folder"])
        self.source: Final = str(settings.get("source") or "")
        self.answers = int(settings.get("answers", 200))
        self._recordings = 0
        self._calls: Final[dict[int, PhoneCall]] = {}
        self._ended: Final[list[PhoneCall]] = []
        self._endpoint: Final = _endpoint(settings)
        transport = pjsua2.TransportConfig()
        transport.port = 0
        transport.boundAddress = transport.publicAddress = "127.0.0.1"
        if settings.get("tls_ca"):
            transport.tlsConfig.CaListFile = str(settings["tls_ca"])
            transport.tlsConfig.verifyServer = True
        kinds = {
            "udp": pjsua2.PJSIP_TRANSPORT_UDP,
            "tcp": pjsua2.PJSIP_TRANSPORT_TCP,
            "tls": pjsua2.PJSIP_TRANSPORT_TLS,
        }
        made = self._endpoint.transportCreate(kinds[settings.get("transport", "udp")], transport)
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNullDev()
        codecs = [str(codec) for codec in settings["codecs"]]
        for codec in self._endpoint.codecEnum2():
            self._endpoint.codecSetPriority(codec.codecId, 0)
        for place, name in enumerate(codecs):
            self._endpoint.codecSetPriority(name, 200 - place)
        self.account: Final = PhoneAccount(self)
        self.account.create(_account(settings, made))
        address = self._endpoint.transportGetInfo(made).localName
        tell("ready", port=int(address.rpartition(":")[2]))

    def count_recording(self) -> int:
        """The number of the next recording, from 1 on."""
        self._recordings += 1
        return self._recordings

    def keep(self, call: PhoneCall) -> PhoneCall:
        """Python's end of a call must live as long as PJSIP's."""
        self._calls[len(self._calls) + len(self._ended)] = call
        return call

    def over(self, call: PhoneCall) -> None:
        """The call has ended: its recording is whole."""
        for number, known in list(self._calls.items()):
            if known is call:
                del self._calls[number]
        self._ended.append(call)
        call.player = call.recorder = None
        tell("over", call=call.getId())

    def obey(self, order: Settings) -> bool:
        """Do one thing; False: it was the last."""
        parameters = pjsua2.CallOpParam(True)
        calls = list(self._calls.values())
        match order["do"]:
            case "dial":
                self.keep(PhoneCall(self)).makeCall(str(order["uri"]), parameters)
            case "answers":
                self.answers = int(order["status"])
            case "answer":
                parameters.statusCode = int(order["status"])
                calls[-1].answer(parameters)
            case "press":
                digits = pjsua2.CallSendDtmfParam()
                digits.digits = str(order["digits"])
                digits.method = pjsua2.PJSUA_DTMF_METHOD_SIP_INFO if order["info"] else pjsua2.PJSUA_DTMF_METHOD_RFC2833
                calls[-1].sendDtmf(digits)
            case "hold":
                calls[-1].setHold(parameters)
            case "resume":
                parameters.opt.flag = pjsua2.PJSUA_CALL_UNHOLD
                calls[-1].reinvite(parameters)
            case "play":
                calls[-1].play(str(order["wav"]))
            case "transfer":
                calls[0].xfer(str(order["uri"]), parameters)
            case "transfer_attended":
                calls[0].xferReplaces(calls[-1], parameters)
            case "hang_up":
                calls[int(order["call"])].hangup(parameters)
            case "quit":
                return False
            case other:
                raise ValueError(other)
        return True

    def run(self) -> None:
        """Until told to quit, or standard input ends."""
        waiting = b""
        running = True
        while running:
            self._endpoint.libHandleEvents(5)
            if not select.select([sys.stdin], [], [], 0)[0]:
                continue
            read = os.read(sys.stdin.fileno(), 65536)
            running = bool(read)
            *lines, waiting = (waiting + read).split(b"\n")
            for line in lines:
                order = json.loads(line)
                try:
                    running = self.obey(order) and running
                    tell("done", order=order["number"])
                except (pjsua2.Error, IndexError) as error:
                    tell("failed", order=order["number"], why=getattr(error, "reason", "") or repr(error))
        self._endpoint.hangupAllCalls()
        while self._calls and self._endpoint.libHandleEvents(5) >= 0:
            pass
        # PJSIP's own way to end asserts on calls that are over.
        os._exit(0)


def _endpoint(settings: Settings) -> Any:
    endpoint = pjsua2.Endpoint()
    endpoint.libCreate()
    config = pjsua2.EpConfig()
    config.uaConfig.threadCnt = 1
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.userAgent = "pjsua2"
    config.medConfig.noVad = True
    config.medConfig.clockRate = int(settings["rate"])
    config.medConfig.ecTailLen = 0
    # A deep buffer: what was heard is compared to the sample.
    config.medConfig.jbInit = config.medConfig.jbMinPre = config.medConfig.jbMaxPre = 20
    config.logConfig.level = config.logConfig.consoleLevel = 0
    config.logConfig.filename = f"{settings['folder']}/pjsip.log"
    config.logConfig.level = 4
    config.logConfig.msgLogging = 1
    endpoint.libInit(config)
    return endpoint


def _account(settings: Settings, transport: int) -> Any:
    config = pjsua2.AccountConfig()
    config.idUri = f"sip:{settings['user']}@127.0.0.1"
    config.sipConfig.transportId = transport
    policies = {
        "off": pjsua2.PJMEDIA_SRTP_DISABLED,
        "offer": pjsua2.PJMEDIA_SRTP_OPTIONAL,
        "require": pjsua2.PJMEDIA_SRTP_MANDATORY,
    }
    config.mediaConfig.srtpUse = policies[settings.get("srtp", "off")]
    config.mediaConfig.srtpSecureSignaling = 0
    config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    config.mediaConfig.transportConfig.publicAddress = "127.0.0.1"
    config.mediaConfig.transportConfig.port = int(settings["rtp_port"])
    if settings.get("password"):
        credentials = pjsua2.AuthCredInfo("digest", "*", settings["user"], 0, settings["password"])
        config.sipConfig.authCreds.append(credentials)
    if settings.get("registrar"):
        config.regConfig.registrarUri = str(settings["registrar"])
    timers = {"off": pjsua2.PJSUA_SIP_TIMER_INACTIVE, "on": pjsua2.PJSUA_SIP_TIMER_ALWAYS}
    if settings.get("session_seconds"):
        config.callConfig.timerUse = timers["on"]
        config.callConfig.timerSessExpiresSec = int(settings["session_seconds"])
    if settings.get("reliable"):
        config.callConfig.prackUse = pjsua2.PJSUA_100REL_MANDATORY
    return config


if __name__ == "__main__":
    Phone(json.loads(sys.argv[1])).run()
