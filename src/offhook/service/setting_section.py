"""What every section of the settings is made of."""

from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator


def limit(default: float, *, metric: str, ge: float, le: float) -> Any:
    """A setting that limits something; `metric` shows how full it is, or what it turned away."""
    return Field(default=default, ge=ge, le=le, json_schema_extra={"metric": metric})


class Section(BaseModel):
    """What all sections share: frozen, and a key that is not known is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, written: Any) -> Any:
        # An environment variable can be emptied, not always removed.
        if not isinstance(written, dict):
            return written
        optional = {name for name, field in cls.model_fields.items() if NoneType in get_args(field.annotation)}
        return {key: None if value == "" and key in optional else value for key, value in written.items()}
