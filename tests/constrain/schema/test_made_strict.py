import pytest

from minikin.constrain.schema.made_strict import made_strict

TEXT = {"type": "string"}


def test_objects_are_closed_and_their_properties_required():
    schema = {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": ["b"]}
    assert made_strict(schema) == schema | {"additionalProperties": False, "required": ["a", "b"]}
    assert list(made_strict({"type": "object", "properties": {}}))[2:] == [
        "additionalProperties", "required",
    ]  # fmt: skip


def test_inner_objects_are_closed_too():
    inner = {"type": "object", "properties": {"a": TEXT}}
    closed = inner | {"additionalProperties": False, "required": ["a"]}
    schema = {
        "type": "object",
        "properties": {
            "one": inner,
            "many": {"type": "array", "items": inner},
            "either": {"anyOf": [inner, {"type": "null"}]},
        },
        "$defs": {"x": inner},
    }
    made = made_strict(schema)
    assert made["properties"] == {
        "one": closed,
        "many": {"type": "array", "items": closed},
        "either": {"anyOf": [closed, {"type": "null"}]},
    }
    assert made["$defs"] == {"x": closed}
    assert schema["properties"]["one"] == inner  # the client's own is not changed


def test_a_strict_schema_stays_as_it_is():
    schema = {
        "additionalProperties": False, "properties": {"a": TEXT}, "required": ["a"],
        "type": "object",
    }  # fmt: skip
    assert list(made_strict(schema).items()) == list(schema.items())


@pytest.mark.parametrize(
    "part",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": TEXT},
        {"type": "string", "default": "x"},
        {"oneOf": [TEXT]},
        {"type": "array"},
        7,
    ],
)
def test_what_cannot_be_strict_gives_nothing(part):
    assert made_strict({"type": "object", "properties": {"a": part}}) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": "object", "properties": 7},
        {"type": "object", "required": 7},
        {"type": "object", "properties": {}, "anyOf": 7},
        {},
    ],
)
def test_broken_schemas_give_nothing(schema):
    assert made_strict(schema) is None
