"""Every mistake in a value at once, each with its path and its remedy, in one readable exception (contract D31, D32).

Pydantic finds the mistakes; this file says them in the words of the house. No other file turns a `ValidationError`
into text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from offhook.errors import OffhookError


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with a value: where, what, and what to do about it."""

    code: str
    path: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path or '(whole)'}: {self.message} {self.remedy}".rstrip()


class MistakesFound(OffhookError, ValueError):
    """A value cannot be used. `mistakes` holds every reason, not only the first."""

    def __init__(self, what: str, mistakes: Sequence[Mistake], *, code: str = "mistakes_found") -> None:
        self.what = what
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        lines = "".join(f"\n  - {mistake}" for mistake in self.mistakes)
        super().__init__(f"{what}: {count}.{lines}", remedy="Mend every line above.", code=code)

    def __str__(self) -> str:
        return self.message


def wrong(code: str, message: str, remedy: str) -> PydanticCustomError:
    """A mistake found by one of our own validators: raise what this returns."""
    return PydanticCustomError("offhook", "{message}", {"code": code, "message": message, "remedy": remedy})


def mistakes_of(error: ValidationError, model: type[BaseModel]) -> tuple[Mistake, ...]:
    """All mistakes that pydantic found in a value of this model, in our words."""
    return tuple(
        _mistake(details, _fields_at(model, details["loc"][:-1])) for details in error.errors(include_url=False)
    )


def path_of(location: tuple[int | str, ...]) -> str:
    """`("speak", "languages", 0)` as `languages[0]`; the tag of a discriminated union is no part of the path."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else part)
    return path


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The field names of the value at this place, for "did you mean"."""
    for part in location:
        field = model.model_fields.get(str(part))
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if _is_model(kind)] if field else []
        if not inner:
            return ()
        model = inner[0]
    return tuple(model.model_fields)


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _mistake(details: ErrorDetails, known: tuple[str, ...]) -> Mistake:
    context = details.get("ctx", {})
    path = path_of(details["loc"])
    if details["type"] == "offhook":
        return Mistake(context["code"], path, context["message"], context["remedy"])
    name = str(details["loc"][-1]) if details["loc"] else ""
    message = details["msg"].rstrip(".") + "."
    match details["type"]:
        case "missing":
            return Mistake("missing", path, "This field is required.", f"Add {name!r}.")
        case "extra_forbidden":
            near = get_close_matches(name, known, n=1, cutoff=0.6)
            named = f"Remove it; the fields are: {', '.join(known)}." if known else "Remove it."
            remedy = f"Did you mean {near[0]!r}?" if near else named
            return Mistake("unknown_field", path, "There is no such field.", remedy)
        case "enum" | "literal_error":
            refused = f"{shown(details['input'])} is not allowed here."
            return Mistake("not_allowed", path, refused, f"Use one of: {context['expected']}.")
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            return Mistake("out_of_range", path, f"{shown(details['input'])} is out of range.", message)
        case "string_type" | "int_type" | "float_type" | "bool_type" | "tuple_type" | "model_type":
            return Mistake("wrong_type", path, f"{shown(details['input'])} is of the wrong type.", message)
        case other:
            return Mistake(str(other), path, message, f"It was {shown(details['input'])}.")


def shown(value: object) -> str:
    """A value in a message: short, on one line, at no cost for a large one."""
    match value:
        case dict():
            return f"an object with {', '.join(repr(str(key)[:20]) for key in list(value)[:3]) or 'no keys'}"
        case list() | tuple():
            return f"a list of {len(value)}"
        case str():
            return repr(value) if len(value) <= 60 else f"{value[:57]!r}..."
        case _:
            return repr(value)[:60]


class WireValue(BaseModel):
    """The parent of every value on the wire: frozen, and built with all mistakes listed at once. The classes are built
    at their first use, or by `json_codec.build_models`: importing them stays cheap.

    Raises:
        MistakesFound: from the constructor. (`model_validate` raises pydantic's own error, for the codec.)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    if not TYPE_CHECKING:

        def __init__(self, /, **data: Any) -> None:
            try:
                super().__init__(**data)
            except ValidationError as error:
                found = mistakes_of(error, type(self))
                raise MistakesFound(f"{type(self).__name__} cannot be built", found) from None

        # Pydantic's own mark for "this constructor adds nothing to validation": a nested value is then validated with
        # its parent, so that the mistakes of both are listed together.
        __init__.__pydantic_base_init__ = True
