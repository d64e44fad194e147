"""The loop of a chat: read a line, then run it as a command or send it to the model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from minikin.cli.answer import Answer
from minikin.cli.client import ChatClient
from minikin.cli.conversation import Conversation
from minikin.cli.output import errors
from minikin.errors import SetupError

_HELP = """\
/model NAME    talk with another model of the server (without NAME: list them)
/retry         answer the last question again
/system TEXT   set the system message (without TEXT: remove it)
/clear         start a new conversation
/save FILE     save the conversation as JSON
/help          show this help
/exit          leave (or press Ctrl-D)
Ctrl-C stops an answer."""
_HISTORY_LINES = 1000


class Dialog:
    """One user, one model, one conversation."""

    def __init__(
        self,
        client: ChatClient,
        model: str,
        conversation: Conversation,
        temperature: float | None,
    ) -> None:
        self._client = client
        self._model = model
        self._conversation = conversation
        self._temperature = temperature

    def run(self) -> None:
        """Run until the user leaves or the input ends."""
        with _line_editing():
            while (line := _read_line()) is not None:
                if line.startswith("/"):
                    if line.split()[0] in ("/exit", "/quit"):
                        return
                    self._obey(line)
                elif line:
                    self._answer(line)

    def ask(self, question: str) -> None:
        """Print one answer, and nothing else to stdout. Raises SetupError."""
        messages = self._conversation.asking(question)
        Answer(self._model).show(self._client.stream(self._model, messages, self._temperature))
        print()

    def _obey(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        match command:
            case "/help":
                errors.print(_HELP)
            case "/clear":
                self._conversation.clear()
                errors.print("Started a new conversation.")
            case "/system":
                self._conversation.system = rest or None
                errors.print("Set the system message." if rest else "Removed the system message.")
            case "/model":
                self._choose(rest)
            case "/retry":
                self._retry()
            case "/save" if rest:
                self._save(Path(rest).expanduser())
            case _:
                errors.print(f"Unknown command: {line}. Type /help for help.")

    def _choose(self, name: str) -> None:
        """Talk with another model. The conversation stays."""
        try:
            offered = self._client.models()
        except SetupError as error:
            errors.print(error.message, style="red")
            return
        if name in offered:
            self._model = name
        elif name:
            errors.print(f"The server has no model {name}.", style="red")
        errors.print(f"Talking to {self._model}. Models: {', '.join(offered)}.", soft_wrap=True)

    def _retry(self) -> None:
        question = self._conversation.take_back()
        if question is None:
            errors.print("The chat has no question to answer again.")
        else:
            self._answer(question)

    def _save(self, path: Path) -> None:
        try:
            self._conversation.save(path)
            errors.print(f"Saved to {path.absolute()}", soft_wrap=True)
        except OSError as error:
            errors.print(f"Cannot write {path}: {error.strerror}.", style="red")

    def _answer(self, question: str) -> None:
        """Stream one answer. A broken answer is shown but not kept."""
        answer = Answer(self._model)
        chunks = self._client.stream(
            self._model, self._conversation.asking(question), self._temperature
        )
        try:
            answer.show(chunks)
        except KeyboardInterrupt:
            answer.finish_reason = "stopped by you"
        except SetupError as error:
            errors.print(f"\n{error.message}", style="red")
            return
        finally:
            chunks.close()
        if answer.text:
            self._conversation.add(question, answer.text)
        errors.print(f"\n{answer.status()}\n", style="dim")


def _read_line() -> str | None:
    """The user's next line without outer white space, or None at the end of the input."""
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            return input(prompt).strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            errors.print("\nTo leave, type /exit or press Ctrl-D.")


@contextmanager
def _line_editing() -> Iterator[None]:
    """Arrow keys and the history of earlier chats, if Python has readline and a terminal."""
    try:
        import readline
    except ImportError:
        readline = None
    if readline is None or not sys.stdin.isatty():
        yield
        return
    # A pasted text with several lines is one question. Python turns this off.
    readline.parse_and_bind("set enable-bracketed-paste on")
    file = platformdirs.user_state_path("minikin", appauthor=False) / "chat_history"
    with suppress(OSError):
        readline.read_history_file(file)
    readline.set_history_length(_HISTORY_LINES)
    try:
        yield
    finally:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(file)
