"""Every error Minikin raises on purpose, in one tree; each knows its HTTP status and wire fields.

MinikinError
├── InvalidRequest          400 invalid_request_error
│   ├── Unauthorized        401
│   ├── NotFound            404
│   └── ContextExceeded     400 context_length_exceeded
├── Overloaded              503 service_unavailable_error
├── EngineFailure           500 server_error
│   └── Quarantined         500 request_quarantined: the same request will fail again
├── TemplateError           500 template_error
└── SetupError              no HTTP status: stops a command with a next step to take
    ├── ModelFileError      a model file that can't be used
    └── DownloadError       a model that can't be fetched
"""

from __future__ import annotations


class MinikinError(Exception):
    """Base of the tree. `message` is what the user reads."""

    status = 500
    type = "server_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code

    def body(self) -> dict[str, dict[str, str | None]]:
        """OpenAI's error envelope: always these four keys."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class InvalidRequest(MinikinError):
    """The request can't be served as it stands; the client must change it."""

    status = 400
    type = "invalid_request_error"


class Unauthorized(InvalidRequest):
    """No API key, or not one of the server's."""

    status = 401


class NotFound(InvalidRequest):
    """No such route, model or stored object."""

    status = 404


class ContextExceeded(InvalidRequest):
    """Prompt and answer together don't fit the model's context window.

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
    """The server has no room now; `retry_after` is in seconds."""

    status = 503
    type = "service_unavailable_error"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message, code="server_is_overloaded")
        self.retry_after = retry_after


class EngineFailure(MinikinError):
    """The engine process died or failed while it worked on this request."""


class Quarantined(EngineFailure):
    """The engine has died twice while it worked on this request."""

    def __init__(self) -> None:
        super().__init__(
            "The engine has stopped twice while it worked on this request, so it is not run again.",
            code="request_quarantined",
        )


class TemplateError(MinikinError):
    """The model's chat template failed at rendering a conversation that it should render."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The model's chat template failed: {reason}", code="template_error")
        self.reason = reason


class SetupError(MinikinError):
    """Something on this machine stops a command; the message names the next step."""


class ModelFileError(SetupError):
    """A model file is broken, hostile, or of a kind Minikin doesn't know."""


class DownloadError(SetupError):
    """A model could not be fetched, or what came isn't what was expected."""
