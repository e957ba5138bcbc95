"""What the settings say about TLS that cannot be meant, or hardly."""

from collections.abc import Iterator

from offhook.service.setting_mistakes import SettingMistake
from offhook.service.settings import Settings


def contradictions(settings: Settings) -> Iterator[SettingMistake]:
    """With these the service does not start."""
    sip = settings.sip
    listens = any(address.transport == "tls" for address in sip.listen)
    both = {"sip.tls_certificate": sip.tls_certificate, "sip.tls_key": sip.tls_key}
    for setting, path in both.items():
        if path is None and (listens or any(both.values())):
            problem = "It is missing, and sip.listen has an address for TLS." if listens else "The other one is set."
            yield SettingMistake(setting, problem, "Name a PEM file: the certificate's, and that of its key.")


def doubts(settings: Settings) -> Iterator[SettingMistake]:
    """With these it starts, and says so."""
    listens = any(address.transport == "tls" for address in settings.sip.listen)
    for trunk in settings.trunks:
        if not trunk.tls_verify:
            yield SettingMistake(
                f"trunk[{trunk.name}].tls_verify",
                "NOBODY CHECKS WHO IS AT THE OTHER END: whoever is in between can read passwords and hear calls.",
                "Set it to true, and tls_ca to the certificates of those who signed the trunk's.",
            )
        if trunk.transport == "tls" and not listens:
            yield SettingMistake(
                f"trunk[{trunk.name}].transport",
                "It is 'tls', and sip.listen has no such address: calls can only come by the connection that we make.",
                'Most registrars use it. Else add "tls:0.0.0.0:5061" to sip.listen, with tls_certificate and tls_key.',
            )
