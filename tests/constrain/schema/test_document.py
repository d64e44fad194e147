from __future__ import annotations

import pytest

from minikin.constrain.schema.document import Document
from minikin.errors import InvalidRequest
from tests.constrain.walk import SUBJECT


def root(schema):
    return Document(schema, SUBJECT).root


def test_older_drafts_are_read_as_the_latest():
    assert root({"minimum": 3, "exclusiveMinimum": True}) == {"exclusiveMinimum": 3}
    assert root({"maximum": 3, "exclusiveMaximum": False}) == {"maximum": 3}
    assert root({"items": [{}], "additionalItems": False}) == {"prefixItems": [{}], "items": False}
    assert root({"dependencies": {"a": ["b"], "c": True}}) == {
        "dependentRequired": {"a": ["b"]},
        "dependentSchemas": {"c": True},
    }


def test_keywords_without_an_effect_are_removed():
    said = {"title": "x", "default": 1, "$comment": "y", "readOnly": True, "format": "int32"}
    assert root({"type": "integer", **said}) == {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"$ref": "#"}, ""),
        ({"$ref": "#/x-more/a~1b"}, "/x-more/a~1b"),
        ({"$ref": "#/$defs/a%25b"}, "/$defs/a%b"),
        ({"$ref": "#name"}, "/$defs/n"),
        ({"$ref": "other"}, "/$defs/o"),
        ({"$ref": "http://x.org/other#/items"}, "/$defs/o/items"),
        ({"$ref": "other#in"}, "/$defs/o/items"),
    ],
)
def test_a_reference_is_found_wherever_it_points_within_the_schema(schema, pointer):
    places = {
        "x-more": {"a/b": {"type": "null"}},
        "$defs": {
            "a%b": True,
            "n": {"$anchor": "name"},
            "o": {"$id": "other", "items": {"$anchor": "in"}},
        },
    }
    document = Document({"$id": "http://x.org/root", **places, **schema}, SUBJECT)
    assert document.root == {"$ref": pointer}
    document.target(pointer)


@pytest.mark.parametrize(
    "reference", ["#/$defs/none", "http://127.0.0.1:9/x.json", "file:///etc/passwd", "#none", "//"]
)
def test_no_other_document_is_fetched(reference):
    with pytest.raises(InvalidRequest, match="is not within the schema"):
        root({"$ref": reference})


def test_a_property_name_is_not_a_keyword():
    schema = {"properties": {"$ref": {"type": "null"}, "$id": True, "enum": {}}}
    assert root(schema) == schema
