"""The reference that is generated from the models: two JSON Schemas and one page.

`python -m offhook.protocol.json_schema docs/reference` writes them; a test fails when they have drifted.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from offhook.protocol.actions import ACTION_TYPES, AnyAction
from offhook.protocol.events import EVENT_TYPES, AnyEvent
from offhook.protocol.mistakes import WireValue
from offhook.protocol.session import Session
from offhook.protocol.speech_options import BargeInConfig, TtsConfig, VadConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class WireSchema(GenerateJsonSchema):
    """A key that has no value is absent on the wire, never null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        if "const" in described.get("properties", {}).get("type", {}):
            described["required"] = ["type", *described.get("required", ())]
            del described["properties"]["type"]["default"]
        return described

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default", 0) is None:
            del described["default"]
        return described


def events_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of what the service sends."""
    return _schema(TypeAdapter(AnyEvent), "Offhook events (service to app)")


def actions_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one action; an answer is one of these, or an array of them."""
    return _schema(TypeAdapter(AnyAction), "Offhook actions (app to service)")


def reference_page() -> str:
    """The page `protocol.md`: every event, action and option as a table."""
    parts = [
        "# Events and actions\n",
        "Generated from `src/offhook/protocol` by `python -m offhook.protocol.json_schema`. Do not edit.\n",
        "The service sends events; the app answers each with one action, an array of actions, or nothing.",
        "Keys without a value are absent. A reader ignores keys that it does not know.\n",
        "## Session\n",
        *_section(Session, ""),
        "## Events\n",
    ]
    for name, model in EVENT_TYPES.items():
        parts += [f"### `{name}`\n", *_section(model, name)]
    parts.append("## Actions\n")
    for name, action in ACTION_TYPES.items():
        parts += [f"### `{name}`\n", *_section(action, name)]
    parts.append("## Options\n")
    options: dict[str, type[WireValue]] = {"tts": TtsConfig, "barge_in": BargeInConfig, "vad": VadConfig}
    for key, option in options.items():
        parts += [f"### `{key}`\n", *_section(option, "")]
    return "\n".join(parts).rstrip() + "\n"


def files() -> dict[str, str]:
    """Every generated file by its name, with its content."""
    return {
        "events.schema.json": json.dumps(events_schema(), indent=2) + "\n",
        "actions.schema.json": json.dumps(actions_schema(), indent=2) + "\n",
        "protocol.md": reference_page(),
    }


def _schema(adapter: TypeAdapter[Any], title: str) -> dict[str, Any]:
    found = adapter.json_schema(schema_generator=WireSchema)
    return {"$schema": DIALECT, "title": title, **found}


def _section(model: type[WireValue], name: str) -> list[str]:
    described = model.model_json_schema(schema_generator=WireSchema)
    required = set(described.get("required", ()))
    lines = [
        " ".join((model.__doc__ or "").split()) + "\n",
        "| field | type | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for key, entry in described["properties"].items():
        if key == "type" and name:
            side = "action" if name in ACTION_TYPES else "event"
            lines.append(f'| `type` | `"{name}"` | required | The name of this {side}. |')
            continue
        default = (
            "required" if key in required else f"`{json.dumps(entry['default'])}`" if "default" in entry else "absent"
        )
        lines.append(f"| `{key}` | {_kind(entry, described)} | {default} | {entry.get('description', '')} |")
    return [*lines, ""]


def _kind(entry: dict[str, Any], whole: dict[str, Any]) -> str:
    if "$ref" in entry:
        name = str(entry["$ref"]).rsplit("/", 1)[-1]
        return _kind(whole["$defs"][name], whole) if "enum" in whole["$defs"][name] else name
    if "anyOf" in entry:
        return " or ".join(_kind(option, whole) for option in entry["anyOf"])
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    kind = str(entry.get("type", "any"))
    limits = [str(entry[key]) for key in ("minimum", "maximum") if key in entry]
    if kind == "array":
        return f"array of {_kind(entry['items'], whole)}" + (
            f", at most {entry['maxItems']}" if "maxItems" in entry else ""
        )
    return f"{kind} {' to '.join(limits)}" if len(limits) == 2 else kind


def main(arguments: list[str]) -> int:
    """Write all files into the folder that is named (default: `docs/reference`)."""
    folder = Path(arguments[0] if arguments else "docs/reference")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
