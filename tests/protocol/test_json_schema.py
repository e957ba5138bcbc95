"""The generated reference is what the models say."""

import json
from pathlib import Path

import jsonschema
import pytest

from offhook.protocol import json_schema
from offhook.protocol.actions import ACTION_TYPES, Dtmf, Speak
from offhook.protocol.events import EVENT_TYPES, UserSpeak
from offhook.protocol.json_codec import action_to_json, event_to_json
from offhook.protocol.session import Session

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", ["events.schema.json", "actions.schema.json", "protocol.md"])
def test_the_reference_has_not_drifted_from_the_models(name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == json_schema.files()[name], "Run: python -m offhook.protocol.json_schema docs/reference"


def test_the_schemas_accept_what_is_sent() -> None:
    events = jsonschema.Draft202012Validator(json_schema.events_schema())
    events.validate(json.loads(event_to_json(UserSpeak(session=Session(id="x"), text="hi"))))
    actions = jsonschema.Draft202012Validator(json_schema.actions_schema())
    for action in (Speak(text="hi"), Dtmf(dtmf="5"), Dtmf(dtmf="*")):
        actions.validate(json.loads(action_to_json(action)))
    assert not actions.is_valid({"text": "no type"})
    assert not actions.is_valid({"type": "speak", "text": None})


def test_the_page_names_every_event_and_action() -> None:
    page = json_schema.reference_page()
    assert all(f"### `{name}`\n" in page for name in (*EVENT_TYPES, *ACTION_TYPES))


def test_writing_goes_into_the_folder_that_is_named(tmp_path: Path) -> None:
    assert json_schema.main([str(tmp_path / "reference")]) == 0
    assert {path.name for path in (tmp_path / "reference").iterdir()} == set(json_schema.files())
