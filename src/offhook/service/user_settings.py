"""The settings of a user: a telephone or a PBX without a fixed address."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from offhook.service.setting_section import Section, limit
from offhook.service.setting_types import Listed

SHORTEST_PASSWORD: Final = 12


def _long_enough(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        mistake = {
            "problem": f"It has {len(password)} characters; whoever guesses it makes calls here.",
            "remedy": f"Take {SHORTEST_PASSWORD} or more, made by a machine: openssl rand -base64 18",
        }
        raise PydanticCustomError("setting", "{problem}", mistake)
    return password


class User(Section):
    """A telephone or PBX that may call from any address, after it has signed in by digest. It does not register."""

    name: str = Field(min_length=1)
    """The user name it signs in with."""
    password: Annotated[str, AfterValidator(_long_enough)] = Field(repr=False)
    """Its password, 12 characters or more."""
    numbers: Listed[str] = ()
    """Numbers it may call from, as it writes them; a call that gives another one is refused. The first stands for the
    user name. None: only its name."""
    may_dial: Listed[str] = ("*",)
    """Numbers it may call. `*`: every number that a flow has."""
    max_calls: int = limit(10, metric="offhook_sip_refused_total", ge=1, le=2000)
    """Its calls at the same time; more are refused with 486."""
