"""What is not right together about calls that flows place: trunks that do not dial, lists that cannot be meant."""

from collections.abc import Iterator

from offhook.calls.dial_guard import not_listed
from offhook.service.dial_plan import callee_of, lists_of
from offhook.service.numbers import Unreadable, has_whole_calling_code, read_target
from offhook.service.setting_mistakes import SettingMistake
from offhook.service.settings import Flow, Settings

TO_DIAL = "Set registrar or proxy of a [[trunk]]"


def contradictions(settings: Settings) -> Iterator[SettingMistake]:
    """What cannot be obeyed."""
    trunks = {trunk.name: trunk for trunk in settings.trunks}
    for flow in settings.flows:
        if flow.trunk is None:
            continue
        named = trunks.get(flow.trunk)
        if named is None:
            listed = f"Here are: {', '.join(trunks)}." if trunks else "Add a [[trunk]] of this name."
            yield SettingMistake(f"flow[{flow.id}].trunk", f"There is no trunk '{flow.trunk}'.", listed)
        elif not named.dials:
            problem = f"No calls can be placed by the trunk '{flow.trunk}': nothing says where they go."
            yield SettingMistake(f"flow[{flow.id}].trunk", problem, f"Set trunk[{flow.trunk}].proxy.")
    for trunk in settings.trunks:
        if trunk.dial_format == "national" and trunk.default_country is None:
            problem = "It is 'national', and no country says how such numbers are written."
            remedy = f"Set trunk[{trunk.name}].default_country."
            yield SettingMistake(f"trunk[{trunk.name}].dial_format", problem, remedy)
    lists = [("outbound", settings.outbound.allow, settings.outbound.deny)]
    lists += [(f"flow[{f.id}].outbound", f.outbound.allow or (), f.outbound.deny or ()) for f in settings.flows]
    for place, allow, deny in lists:
        for entry in sorted(set(allow) & set(deny)):
            problem = f'"{entry}" is in allow and in deny.'
            yield SettingMistake(f"{place}.deny", problem, "Take it out of one of them.")


def doubts(settings: Settings) -> Iterator[SettingMistake]:
    """What can be obeyed and does nothing."""
    dials = any(trunk.dials for trunk in settings.trunks) or _carriers_dial(settings)
    for path, allow in _allowing(settings):
        for entry in allow:
            if _is_a_country_without_its_plus(entry):
                problem = f'"{entry}" is the extension {entry}, not the country +{entry}.'
                yield SettingMistake(path, problem, f'Write "+{entry}" for numbers that begin so.')
        if allow and not dials:
            problem = "Calls are allowed, and no trunk can place one."
            yield SettingMistake(path, problem, f"{TO_DIAL}, or empty this list.")
    for flow in settings.flows:
        why = _why_no_fallback(settings, flow) if flow.fallback.transfer_to is not None else None
        if why is not None:
            yield SettingMistake(f"flow[{flow.id}].fallback.transfer_to", *why)


def _allowing(settings: Settings) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "outbound.allow", settings.outbound.allow
    for flow in settings.flows:
        yield f"flow[{flow.id}].outbound.allow", flow.outbound.allow or ()


def _is_a_country_without_its_plus(entry: str) -> bool:
    return (
        len(entry) > 1
        and entry.isascii()
        and entry.isdigit()
        and has_whole_calling_code(f"+{entry}")
        and not has_whole_calling_code(f"+{entry[:-1]}")
    )


def _carriers_dial(settings: Settings) -> bool:
    """Whether callers are transferred by the carrier that streams them."""
    return any(account.transfer == "carrier" for account in settings.media_stream.accounts)


def _why_no_fallback(settings: Settings, flow: Flow) -> tuple[str, str] | None:
    """What is wrong with the transfer of a flow whose app is lost, and what to do."""
    trunk = next((trunk for trunk in settings.trunks if trunk.dials), None)
    if trunk is None and not _carriers_dial(settings):
        return "No trunk can place this call.", f"{TO_DIAL}, or take transfer_to out."
    country = flow.default_country or (trunk.default_country if trunk is not None else None)
    target = read_target(flow.fallback.transfer_to or "", country)
    if isinstance(target, Unreadable):
        return f"{target.written} cannot be dialled: {target.why}", target.remedy
    refusal = not_listed(callee_of(target, country), lists_of(settings, flow))
    return None if refusal is None else (str(refusal), refusal.remedy)
