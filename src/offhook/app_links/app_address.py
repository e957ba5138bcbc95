"""Where an app is: the address that the operator configured, checked once."""

from typing import Final

from yarl import URL

from offhook.errors import SettingsInvalid


class AppAddress:
    """A checked address.

    Args:
        address: as configured.
        schemes: what this kind of link can use.

    Raises:
        SettingsInvalid: no address, or of another scheme.
    """

    def __init__(self, address: str, schemes: tuple[str, ...]) -> None:
        example = f"{schemes[0]}://localhost:3000/"
        try:
            url = URL(address)
        except ValueError as error:
            raise SettingsInvalid(
                f"The app's address {address!r} is none: {error}.", remedy=f"Write it like {example}"
            ) from None
        if url.scheme not in schemes or not url.host:
            allowed = " or ".join(f"{scheme}://" for scheme in schemes)
            raise SettingsInvalid(
                f"The app's address {address!r} does not begin with {allowed} and a host.",
                remedy=f"Write it like {example}",
            )
        self.url: Final = url

    def __str__(self) -> str:
        """As people shall read it: without password and query, which may hold secrets."""
        return str(self.url.with_user(None).with_query(None).with_fragment(None))


def identity_headers(session_id: str, token: str | None, user_agent: str) -> dict[str, str]:
    """What every request and every connection carries (section 6, D27).

    Raises:
        SettingsInvalid: the token cannot stand in a header.
    """
    headers = {"User-Agent": user_agent, "X-Session-Id": session_id}
    if token is not None:
        if not token.isascii() or not token.isprintable() or token != token.strip():
            raise SettingsInvalid(
                "The flow's token holds characters that cannot stand in an HTTP header.",
                remedy="Use letters, digits and punctuation; look for a line end at the end of the secret.",
            )
        headers["X-API-TOKEN"] = token
    return headers
