"""Every error that Minikin raises on purpose, in one tree, with HTTP status and wire fields.

MinikinError
├── InvalidRequest          400 invalid_request_error
│   ├── Unauthorized        401
│   ├── Forbidden           403 the key does not open this page
│   ├── Cancelled           403 request_cancelled: the server's operator ended it
│   ├── NotFound            404
│   ├── RequestTooLarge     429 more tokens than a key can use in a minute
│   └── ContextExceeded     400 context_length_exceeded
├── Overloaded              503 service_unavailable_error
│   ├── RateLimited         429 a key has used its limit
│   └── ShuttingDown        503 the server ends: the request can run after its next start
├── EngineFailure           500 server_error
│   ├── EngineLost          500 the engine ended: another one can continue
│   └── Quarantined         500 request_quarantined: the same request will fail again
├── DeadlineExceeded        504 request_timeout: the answer took too long
├── TemplateError           500 template_error
├── StoreFailure            500 store_failed: the database, or the place of files, failed
└── SetupError              no HTTP status: stops a command and names the next step
    ├── ModelFileError      a model file that cannot be used
    ├── KeyRefused          a server that asks for an API key, or for another one
    └── DownloadError       a model that cannot be downloaded
"""

from __future__ import annotations

from typing import Literal

ErrorType = Literal[
    "invalid_request_error", "service_unavailable_error", "server_error", "requests", "tokens"
]
"""OpenAI's values of an error's `type`."""


class MinikinError(Exception):
    """Base of the tree. The user reads `message`."""

    status = 500
    type: ErrorType = "server_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code

    def body(self) -> dict[str, dict[str, str | None]]:
        """OpenAI's error object. It always has these four keys."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class InvalidRequest(MinikinError):
    """The server cannot serve this request. The client must change it."""

    status = 400
    type: ErrorType = "invalid_request_error"


class Unauthorized(InvalidRequest):
    """The API key is missing or wrong."""

    status = 401


class Forbidden(InvalidRequest):
    """The API key does not open this page."""

    status = 403


class RequestTooLarge(InvalidRequest):
    """A request with more tokens than its key can use in a minute. No later try can succeed."""

    status = 429
    type: ErrorType = "tokens"

    def __init__(self, message: str) -> None:
        super().__init__(message, code="rate_limit_exceeded")


class Cancelled(InvalidRequest):
    """The server's operator ended the request. Clients do not try again after this status."""

    status = 403

    def __init__(self) -> None:
        super().__init__(
            "The operator of this server cancelled the request.", code="request_cancelled"
        )


class NotFound(InvalidRequest):
    """No such route, model or stored object."""

    status = 404


class ContextExceeded(InvalidRequest):
    """The prompt and the answer together do not fit the model's context window.

    `prompt` and `completion` are token counts.
    """

    def __init__(self, window: int, prompt: int, completion: int) -> None:
        super().__init__(
            f"This model's maximum context length is {window} tokens. However, you requested "
            f"{prompt + completion} tokens ({prompt} in the messages, {completion} in the "
            "completion). Please reduce the length of the messages or completion.",
            param="messages",
            code="context_length_exceeded",
        )


class Overloaded(MinikinError):
    """The server is at its limit. `retry_after` is in seconds."""

    status = 503
    type: ErrorType = "service_unavailable_error"

    def __init__(self, message: str, *, retry_after: float = 1) -> None:
        super().__init__(message, code="server_is_overloaded")
        self.retry_after = retry_after


class RateLimited(Overloaded):
    """A client has used one of its limits: requests or tokens."""

    status = 429

    def __init__(self, message: str, unit: ErrorType, *, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)
        self.type = unit
        self.code = "rate_limit_exceeded"


class ShuttingDown(Overloaded):
    """The server ends before the answer does."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down.", retry_after=5)


class EngineFailure(MinikinError):
    """The engine process crashed or failed while it computed this request."""


class EngineLost(EngineFailure):
    """The engine ended while it computed this request. Another one can continue it."""


class Quarantined(EngineFailure):
    """The engine process crashed several times while it computed this request."""

    def __init__(self) -> None:
        super().__init__(
            "The engine stopped several times while it computed this request. It does not run it "
            "again for some minutes.",
            code="request_quarantined",
        )


class DeadlineExceeded(MinikinError):
    """An answer took longer than the server allows."""

    status = 504

    def __init__(self, message: str) -> None:
        super().__init__(message, code="request_timeout")


class TemplateError(MinikinError):
    """The model's chat template failed to render a valid conversation."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The model's chat template failed: {reason}", code="template_error")
        self.reason = reason


class StoreFailure(MinikinError):
    """The store of the server failed. The log and `reason` say how, but not the client."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "The server could not use its store. Its log contains the reason.",
            code="store_failed",
        )
        self.reason = reason


class SetupError(MinikinError):
    """A command cannot run on this machine. The message names the next step."""


class ModelFileError(SetupError):
    """A model file is broken, malicious or not supported."""


class KeyRefused(SetupError):
    """A server needs an API key, or does not accept the given one."""


class DownloadError(SetupError):
    """A model could not be downloaded, or the download is not the expected file."""
