"""The rules of a batch, and of each line of its input file."""

from __future__ import annotations

from typing import Any

import msgspec

from minikin.api.request.file_rules import EXPIRES_AFTER
from minikin.api.request.parameter_rules import Metadata
from minikin.api.request.rules import FreeForm, Nullable, Object, OneOf, Property, Text
from minikin.errors import InvalidRequest

MAX_LINES = 50_000
MAX_LINE_ERRORS = 100
"""Maximum errors of lines that a batch reports."""
ENDPOINTS = ("/v1/responses", "/v1/chat/completions")
BATCH = Object(
    {
        "input_file_id": Property(Text(), required=True),
        "endpoint": Property(OneOf(ENDPOINTS), required=True),
        "completion_window": Property(OneOf(("24h",)), required=True),
        "metadata": Property(Nullable(Metadata())),
        "output_expires_after": Property(Nullable(EXPIRES_AFTER)),
    }
)
LINE = Object(
    {
        "custom_id": Property(Text(max_length=512, min_length=1), required=True),
        "method": Property(OneOf(("POST",)), required=True),
        "url": Property(Text(), required=True),
        "body": Property(FreeForm(levels=None), required=True),
    }
)
"""The route of `url` checks the body when the line runs."""


class LineError(msgspec.Struct, frozen=True):
    """What is wrong with a line, as the batch reports it."""

    code: str | None
    message: str
    param: str | None = None
    line: int | None = None
    """Its number, from 1. None: the whole file."""


class LineChecker:
    """Checks the lines of one file, one after the other."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._ids: set[str] = set()
        self.model: str | None = None
        """The model of the first line. Every line has the same."""
        self.errors: list[LineError] = []
        """The first MAX_LINE_ERRORS."""
        self.count = 0

    def check(self, number: int, value: Any) -> None:
        """Check the value of line `number`."""
        self.count += 1
        try:
            line = LINE.check(value, "")
        except InvalidRequest as fault:
            self._add(LineError(fault.code, fault.message, fault.param, number))
            return
        if error := self._fault_of(line):
            code, message, param = error
            self._add(LineError(code, message, param, number))

    def not_json(self, number: int) -> None:
        """Report a line that is not JSON."""
        self.count += 1
        message = "This line is not parseable as valid JSON."
        self._add(LineError("invalid_json_line", message, None, number))

    def too_long(self, number: int, limit: int) -> None:
        """Report a line of more than `limit` bytes."""
        self.count += 1
        message = f"This line is longer than {limit} bytes."
        self._add(LineError("line_too_long", message, None, number))

    def no_file(self, identifier: str) -> None:
        """Report that the file is gone."""
        message = f"No such File object: {identifier}"
        self._add(LineError("invalid_input_file", message, "input_file_id"))

    def end(self) -> None:
        """Report errors of the whole file."""
        if not self.count and not self.errors:
            self._add(LineError("empty_file", "The input file is empty."))
        if self.count > MAX_LINES:
            message = f"The input file has more than {MAX_LINES} lines."
            self.errors = [LineError("too_many_tasks", message)]

    def _fault_of(self, line: dict[str, Any]) -> tuple[str, str, str] | None:
        custom_id, url = line["custom_id"], line["url"]
        if url != self._endpoint:
            message = f"The url '{url[:64]}' is not the endpoint of the batch, '{self._endpoint}'."
            return "url_mismatch", message, "url"
        if custom_id in self._ids:
            message = f"The custom_id '{custom_id}' is in an earlier line too."
            return "duplicate_custom_id", message, "custom_id"
        self._ids.add(custom_id)
        model = line["body"].get("model")
        if not isinstance(model, str):
            return None  # an error of this line alone
        if self.model is None:
            self.model = model
        if model != self.model:
            message = (
                f"The model '{model[:64]}' is not that of the first line, '{self.model[:64]}'."
            )
            return "model_mismatch", message, "body.model"
        return None

    def _add(self, error: LineError) -> None:
        if len(self.errors) < MAX_LINE_ERRORS:
            self.errors.append(error)
