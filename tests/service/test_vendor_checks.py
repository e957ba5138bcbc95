"""Every vendor is asked whether the key is right; nothing that it answers keeps the service from working."""

from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from offhook.service.commands import check
from offhook.service.settings import Settings
from offhook.service.settings_file import from_tree
from offhook.service.speech_engines import start_engines
from offhook.service.vendor_checks import OFFLINE, ask_vendors, say_what_vendors_say
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.openai_speech import FakeOpenAi
from tests.fakes.vendor_script import KEY, Fault, VendorScript

NOBODY: Final = "http://127.0.0.1:9"


def settings(**speech: Any) -> Settings:
    flow = {"id": "support", "app": "http://127.0.0.1:9/", "numbers": ["*"]}
    return from_tree({"speech": speech, "flow": [flow], "sip": {"listen": []}}, {})


def deepgram(url: str, key: str = KEY) -> dict[str, Any]:
    return {"deepgram": {"key": key, "url": url}}


async def test_a_key_that_is_right_is_said_for_ear_and_voice() -> None:
    async with FakeDeepgram() as fake:
        answers = await ask_vendors(settings(**deepgram(fake.url)).speech)

    assert [(each.kind, each.name, each.remedy) for each in answers] == [
        ("ear", "deepgram", None),
        ("voice", "deepgram", None),
    ]
    assert all("key accepted" in each.said for each in answers)


async def test_a_wrong_key_is_said_with_the_setting_and_never_shown() -> None:
    wrong = "0123456789abcdef-wrong-key"
    async with FakeDeepgram() as fake:
        answers = await ask_vendors(settings(**deepgram(fake.url, wrong)).speech)

    assert {each.code for each in answers} == {"provider_refused"}
    assert all("speech.deepgram.key" in str(each.remedy) for each in answers)
    assert wrong not in str(answers)


async def remedies(**speech: Any) -> dict[str, str]:
    answers = await ask_vendors(settings(**speech).speech)
    return {each.name: each.remedy for each in answers if each.remedy is not None}


async def test_when_no_vendor_is_there_the_machine_may_be_offline() -> None:
    far = {"url": "https://asr.vendor.invalid/v1", "ear_model": "whisper-1"}
    near = {"url": f"{NOBODY}/v1", "voice_model": "kokoro"}
    found = await remedies(**deepgram("https://deepgram.invalid"), openai={"far": far, "near": near})

    assert (found["far"], found["deepgram"]) == (OFFLINE, OFFLINE)
    assert "speech.openai.near.url" in found["near"]


async def test_one_vendor_alone_is_no_sign_of_being_offline_however_many_hosts_it_has() -> None:
    found = await remedies(azure={"key": KEY, "region": "noregion.invalid".replace(".", "")})

    assert found.keys() == {"azure"}
    assert "speech.azure.region" in found["azure"]


async def test_containers_are_asked_about_by_their_own_settings() -> None:
    places = {"transcriber_url": NOBODY, "synthesizer_url": NOBODY}
    answers = await ask_vendors(settings(azure=places).speech)

    assert "speech.azure.transcriber_url" in str(answers[0].remedy)
    assert "speech.azure.synthesizer_url" in str(answers[1].remedy)


async def test_a_server_of_ones_own_that_is_not_there_is_asked_about_by_its_setting() -> None:
    found = await remedies(openai={"kokoro": {"url": f"{NOBODY}/v1", "voice_model": "kokoro"}})

    assert found == {"kokoro": "Does the server run, and is speech.openai.kokoro.url right, its port too?"}


async def test_vendors_that_answer_500_were_reached() -> None:
    async with FakeDeepgram(VendorScript(fault=Fault.UNAVAILABLE)) as fake:
        found = await remedies(**deepgram(fake.url))

    assert "It was reached" in found["deepgram"]


async def test_tls_where_none_is_spoken_is_asked_about() -> None:
    async with FakeOpenAi() as fake:
        url = fake.url.replace("http://", "https://") + "/v1"
        found = await remedies(openai={"own": {"url": url, "ear_model": "whisper-1"}})

    assert found == {"own": "What is there speaks no TLS: is it http:// in speech.openai.own.url?"}


async def test_a_forgotten_end_of_an_address_is_a_hint() -> None:
    async with FakeOpenAi() as fake:
        speech = settings(openai={"own": {"url": fake.url, "key": KEY, "ear_model": "whisper-1"}})
        hint = next(each for each in await check.elsewhere(speech) if each.what == "speech.openai.own (ear)")

    assert hint.is_hint
    assert "404" in hint.said
    assert "speech.openai.own.url right, ending in /v1" in str(hint.remedy)


async def test_one_vendor_that_is_not_there_is_no_sign_of_being_offline() -> None:
    async with FakeOpenAi() as fake:
        server = {"url": f"{fake.url}/v1", "key": KEY, "ear_model": "whisper-1"}
        answers = await ask_vendors(settings(**deepgram(NOBODY), openai={"own": server}).speech)

    wrong = {each.name: each.remedy for each in answers if each.remedy is not None}
    assert list(wrong) == ["deepgram"]
    assert wrong["deepgram"] != OFFLINE


async def test_without_vendors_nobody_is_asked() -> None:
    assert await ask_vendors(settings().speech) == []


async def test_offhook_check_says_which_key_is_wrong() -> None:
    async with FakeDeepgram(VendorScript(fault=Fault.REFUSE_KEY)) as fake:
        findings = await check.elsewhere(settings(**deepgram(fake.url)))

    wrong = {finding.what: finding.remedy for finding in findings if finding.what.startswith("speech.")}
    assert wrong.keys() == {"speech.deepgram (ear)", "speech.deepgram (voice)"}
    assert all("speech.deepgram.key" in str(remedy) for remedy in wrong.values())


@pytest.mark.parametrize(("fault", "rests"), [(None, False), (Fault.REFUSE_KEY, True), (Fault.UNAVAILABLE, False)])
async def test_the_service_starts_anyway_and_asks_nobody_again_whose_key_is_refused(
    fault: Fault | None, rests: bool
) -> None:
    async with FakeDeepgram(VendorScript(fault=fault)) as fake, AsyncExitStack() as stack:
        engines = await start_engines(settings(**deepgram(fake.url)), stack)
        await say_what_vendors_say(engines)

        assert {"deepgram", "pocketsphinx"} <= engines.ears.keys()
        assert {"deepgram", "espeak"} <= engines.voices.keys()
        assert engines.health.of("ear", "deepgram").is_well is not rests
        assert engines.health.of("voice", "deepgram").is_well is not rests
        assert engines.health.of("ear", "pocketsphinx").is_well
