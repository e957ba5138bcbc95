"""What every section of the settings is made of."""

import ast
import inspect
from functools import cache
from itertools import pairwise
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator


def limit(default: float, *, metric: str, ge: float, le: float) -> Any:
    """A setting that limits something; `metric` shows how full it is, or what it turned away."""
    return Field(default=default, ge=ge, le=le, json_schema_extra={"metric": metric})


class Section(BaseModel):
    """What all sections share: frozen, and a key that is not known is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, written: Any) -> Any:
        # An environment variable can be emptied, not always removed.
        if not isinstance(written, dict):
            return written
        optional = {name for name, field in cls.model_fields.items() if NoneType in get_args(field.annotation)}
        return {key: None if value == "" and key in optional else value for key, value in written.items()}


@cache
def meanings(section: type[BaseModel]) -> dict[str, str]:
    """What the text beneath each field says, on one line, by the field's key; those of the classes above too. Read from
    the source when somebody asks: reading all of it as pydantic would is a good part of every start."""
    said: dict[str, str] = {}
    for above in reversed(section.__mro__):
        if not issubclass(above, BaseModel) or above is BaseModel:
            continue
        try:
            (definition,) = ast.parse(inspect.getsource(above)).body
        except OSError:  # installed without its source: the names of the keys must do
            continue
        assert isinstance(definition, ast.ClassDef)
        for field, text in pairwise(definition.body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    said[name] = " ".join(words.split())
    return {field.alias or name: said[name] for name, field in section.model_fields.items() if name in said}
