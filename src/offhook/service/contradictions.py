"""What each section says is right, but not together: numbers with two owners, engines that are not here.

`contradictions` are mistakes: with them the service does not start. `doubts` are what it starts with and says so.
"""

from collections.abc import Iterator

from offhook.service import tls_contradictions
from offhook.service.flow_book import comparable
from offhook.service.media_stream_settings import contradictions as of_media_streams
from offhook.service.media_stream_settings import doubts as doubts_about_media_streams
from offhook.service.outbound_mistakes import contradictions as of_outbound_calls
from offhook.service.outbound_mistakes import doubts as about_outbound_calls
from offhook.service.setting_mistakes import SettingMistake
from offhook.service.settings import Flow, Settings
from offhook.service.speech_mistakes import contradictions as of_speech


def contradictions(settings: Settings, unread: frozenset[str] = frozenset()) -> Iterator[SettingMistake]:
    """`unread`: engines whose sections have mistakes of their own, of which nothing more is said."""
    yield from _repeated("flow", "id", [flow.id for flow in settings.flows])
    yield from _repeated("trunk", "name", [trunk.name for trunk in settings.trunks])
    yield from _repeated("user", "name", [user.name for user in settings.users])
    yield from _registrations(settings)
    yield from tls_contradictions.contradictions(settings)
    yield from _media_streams(settings)
    yield from of_outbound_calls(settings)
    yield from _numbers_taken_twice(settings.flows)
    for flow in settings.flows:
        yield from _unreadable_numbers(flow)
    yield from of_speech(settings, unread)


def doubts(settings: Settings) -> Iterator[SettingMistake]:
    """What can hardly be meant, though the service can run with it."""
    if not any(flow.numbers for flow in settings.flows):
        yield SettingMistake(
            "flow",
            "No flow has a number: every call gets 404.",
            'Add a [[flow]] with app and numbers; numbers = ["*"] takes every call.',
        )
    for key, problem, remedy in doubts_about_media_streams(settings.media_stream):
        yield SettingMistake(f"media_stream.{key}", problem, remedy)
    yield from tls_contradictions.doubts(settings)
    ports = settings.sip.rtp_ports
    calls = (ports.last - ports.first + 1) // 2
    if settings.sip.listen and calls < settings.limits.max_calls:
        yield SettingMistake(
            "sip.rtp_ports",
            f"{ports} is enough for {calls} calls; limits.max_calls is {settings.limits.max_calls}.",
            "Widen sip.rtp_ports (two ports a call), or lower limits.max_calls.",
        )
    yield from about_outbound_calls(settings)


def _repeated(section: str, key: str, names: list[str]) -> Iterator[SettingMistake]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield SettingMistake(
            f"{section}[{name}].{key}", f"'{name}' is used twice.", f"Give each {section} its own {key}."
        )


def _registrations(settings: Settings) -> Iterator[SettingMistake]:
    transports = {address.transport for address in settings.sip.listen}
    for trunk in settings.trunks:
        section = f"trunk[{trunk.name}]"
        if not trunk.dials:
            continue
        if not trunk.username and trunk.registrar is not None:
            remedy = "Write the account's user, as the carrier gave it."
            yield SettingMistake(f"{section}.username", "It is missing, and a registrar is set.", remedy)
        if trunk.transport not in {None, "tls", *transports}:
            kind = trunk.transport
            problem = f"It is '{kind}', and sip.listen has no address of that kind."
            yield SettingMistake(f"{section}.transport", problem, f'Add "{kind}:0.0.0.0:5060" to sip.listen.')


def _media_streams(settings: Settings) -> Iterator[SettingMistake]:
    yield from _repeated("media_stream.account", "name", [account.name for account in settings.media_stream.accounts])
    for key, problem, remedy in of_media_streams(settings.media_stream):
        yield SettingMistake(f"media_stream.{key}", problem, remedy)


def _numbers_taken_twice(flows: tuple[Flow, ...]) -> Iterator[SettingMistake]:
    owners: dict[str, str] = {}
    for flow in flows:
        for number in dict.fromkeys(comparable(written, flow.default_country) for written in flow.numbers):
            first = owners.setdefault(number, flow.id)
            if first != flow.id:
                yield SettingMistake(
                    f"flow[{flow.id}].numbers",
                    f"{number} belongs to flow[{first}] already.",
                    "Give each number to one flow only.",
                )


def _unreadable_numbers(flow: Flow) -> Iterator[SettingMistake]:
    for written in flow.numbers:
        if written.startswith("0") and len(written) > 5 and comparable(written, flow.default_country).startswith("0"):
            yield SettingMistake(
                f"flow[{flow.id}].numbers",
                f"'{written}' is in national form, and no country is given.",
                'Write it as "+49…", or set default_country.',
            )
