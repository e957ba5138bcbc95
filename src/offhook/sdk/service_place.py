"""Where the service is that an assistant places calls by, and how it is let in; its client is loaded only then."""

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from offhook.sdk.service_actions import ServiceActions

URL_VARIABLE: Final = "OFFHOOK_SERVICE_URL"
KEY_VARIABLE: Final = "OFFHOOK_SERVICE_KEY"


def configured_service(url: str | None, key: str | None) -> "ServiceActions | None":
    """The service of these options, else of the environment; None: there is none.

    Raises:
        OffhookError: an address or a key that cannot be used.
    """
    url = url or os.environ.get(URL_VARIABLE)
    if not url:
        return None
    from offhook.sdk.service_actions import ServiceActions

    return ServiceActions(url, key or os.environ.get(KEY_VARIABLE, ""))
