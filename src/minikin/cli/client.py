"""A chat client for every OpenAI-compatible server, built on httpx."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

import httpx
import msgspec

from minikin.errors import KeyRefused, SetupError

_TIMEOUT = httpx.Timeout(300, connect=5)


class Usage(msgspec.Struct, frozen=True):
    """Token counts of one request."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta
    finish_reason: str | None = None


class _Error(msgspec.Struct, frozen=True):
    message: str


class Chunk(msgspec.Struct, frozen=True):
    """One event of a streamed answer: the fields that a terminal shows."""

    choices: list[_Choice] = []
    usage: Usage | None = None
    error: _Error | None = None

    @property
    def text(self) -> str:
        """The text that this event adds."""
        return "".join(choice.delta.content or "" for choice in self.choices)

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in its last event."""
        return self.choices[0].finish_reason if self.choices else None


class ServedModel(msgspec.Struct, frozen=True):
    """A name that a server offers."""

    id: str
    context_length: int | None = None
    """Tokens. None: the server does not say."""


class _ModelList(msgspec.Struct, frozen=True):
    data: list[ServedModel]


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error


class ChatClient:
    """A client of the server at `base_url`, which ends in /v1. Every error is a SetupError."""

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.base_url = base_url.rstrip("/")
        self._http = httpx.Client(timeout=_TIMEOUT, headers=headers)

    def __enter__(self) -> ChatClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def models(self) -> list[str]:
        """The model ids that the server lists, in its order."""
        return [model.id for model in self.served()]

    def served(self) -> list[ServedModel]:
        """The models that the server lists, in its order."""
        try:
            response = self._http.get(f"{self.base_url}/models", timeout=5)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        self._check(response)
        try:
            return msgspec.json.decode(response.content, type=_ModelList).data
        except msgspec.MsgspecError as error:
            raise SetupError(
                f"{self.base_url} is not an OpenAI-compatible server: {error}."
            ) from error

    def stream(
        self, model: str, messages: list[dict[str, str]], temperature: float | None
    ) -> Generator[Chunk]:
        """The answer to `messages`, event by event. To cancel it, close the generator."""
        body = {
            "model": model,
            "messages": messages,
            **({} if temperature is None else {"temperature": temperature}),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        url = f"{self.base_url}/chat/completions"
        try:
            with self._http.stream("POST", url, json=body) as response:
                if response.status_code != 200:
                    response.read()
                self._check(response)
                for data in sse_data(response.iter_lines()):
                    if data == "[DONE]":
                        return
                    yield self._chunk(data)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        raise SetupError(f"{self.base_url} ended the answer before it was complete.")

    def _chunk(self, data: str) -> Chunk:
        try:
            chunk = msgspec.json.decode(data, type=Chunk)
        except msgspec.MsgspecError as error:
            raise SetupError(f"{self.base_url} sent a chunk that is not valid: {error}.") from error
        if chunk.error is not None:
            raise SetupError(chunk.error.message)
        return chunk

    def _check(self, response: httpx.Response) -> None:
        if response.status_code != 200:
            raise refusal(response)

    def _unreachable(self, error: Exception) -> SetupError:
        return SetupError(
            f"Cannot reach {self.base_url}: {error}. Is the server running? `minikin serve` starts "
            "one."
        )


def refusal(response: httpx.Response) -> SetupError:
    """The error in an answer without status 200."""
    if response.status_code == 401:
        return _key_refused(response.request)
    try:
        return SetupError(msgspec.json.decode(response.content, type=_Refusal).error.message)
    except msgspec.MsgspecError:
        return SetupError(f"{response.url} returned status {response.status_code}.")


def _key_refused(request: httpx.Request) -> KeyRefused:
    server = f"{request.url.scheme}://{request.url.netloc.decode()}"
    verdict = "does not accept this" if "authorization" in request.headers else "needs an"
    return KeyRefused(
        f"The server at {server} {verdict} API key. Set one with --api-key or MINIKIN_API_KEY."
    )


def sse_data(lines: Iterable[str]) -> Iterator[str]:
    """The data of each server-sent event in `lines` (HTML standard, 9.2.6)."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
