"""The rules of conversations and their items."""

from __future__ import annotations

from minikin.api.request.parameter_rules import Metadata
from minikin.api.request.rules import Array, Nullable, Object, Property
from minikin.api.responses.item_rules import ITEM
from minikin.api.responses.rules import optional, required

MAX_NEW_ITEMS = 20
"""Maximum items of one request."""
_EXPECTED = "an array of input items"
CREATE = Object(
    optional(
        items=Nullable(Array(ITEM, _EXPECTED, MAX_NEW_ITEMS)),
        metadata=Nullable(Metadata()),
    )
)
UPDATE = Object({"metadata": Property(Nullable(Metadata()), required=True)})
ADD = Object(required(items=Array(ITEM, _EXPECTED, MAX_NEW_ITEMS, min_length=1)))
