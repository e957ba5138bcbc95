"""Where trunks are, and who must be there: the DNS and TLS side of the settings, also for `offhook check`."""

from offhook.errors import OffhookError
from offhook.service.setting_types import SipDomain
from offhook.service.settings import Sip
from offhook.service.trunk_settings import Trunk
from offhook.transports.sip.hop import TlsPeer, host_and_port
from offhook.transports.sip.server_location import TRANSPORTS, ServerLocation, ServersNotFound
from offhook.transports.sip.tls import OwnCertificate, tls_trouble


def own_certificate(sip: Sip) -> OwnCertificate | None:
    """The certificate for TLS, not read yet; None without one."""
    if sip.tls_certificate is None or sip.tls_key is None:
        return None
    return OwnCertificate(sip.tls_certificate, sip.tls_key)


async def servers_of(trunk: Trunk, where: SipDomain, setting: str, sip: Sip) -> list[str]:
    """Where requests to this trunk's registrar or proxy (`where`, as the `setting` of that name says) go at the moment,
    such as `tls:192.0.2.1:5061`. Raises OffhookError when it cannot be found, or is not who it should be (TLS)."""
    location = ServerLocation([(server.host, server.port) for server in sip.dns_servers])
    spoken = {address.transport for address in sip.listen}
    usable = [each for each in TRANSPORTS if each in spoken]
    try:
        found = await location.find(where.host, where.port, trunk.transport, transports=usable or TRANSPORTS)
    except ServersNotFound as error:
        raise OffhookError(
            f"No server of '{where}' is known: {error}.",
            remedy=f"Correct trunk[{trunk.name}].{setting}. Does the DNS of this machine, or sip.dns_servers, work?",
            code="trunk_unknown",
            retryable=True,
        ) from error
    peer = TlsPeer(where.host, None if trunk.tls_ca is None else str(trunk.tls_ca), trunk.tls_verify)
    for address in [target.address for target in found if target.transport == "tls"][:1]:
        trouble = await tls_trouble(address, peer, own_certificate(sip))
        if trouble is not None:
            raise OffhookError(
                f"tls:{host_and_port(*address)}: {trouble.reason}.", remedy=trouble.remedy, code="trunk_unreachable"
            )
    return [f"{target.transport}:{host_and_port(*target.address)}" for target in found]
