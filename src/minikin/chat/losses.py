"""Finds messages that a chat template drops, and rewrites the conversation so that it keeps them.

A template that does not know a role, a second system message or a plain string as content mostly
renders nothing in its place. A rendering with a different word for each message shows which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from minikin.chat.messages import RESULTS, Content, Message, in_parts, in_words

_SYSTEM = ("system", "developer")
_LISTED = "'type': 'text'"
"""What a template writes if it expects a string and gets a list."""

_LEAST_SURE = 8
Repair = Callable[[list[Message], set[int]], list[Message]]
"""A conversation and the places of its lost messages -> another form of it."""


def probed(messages: Iterable[Message]) -> list[Message]:
    """The same conversation with a word of its own as the text of each message."""
    return [
        m | {"content": _in_form(m["content"], _word(at))} if m["content"] else m
        for at, m in enumerate(messages)
    ]


def lost(messages: list[Message], rendered: str) -> set[int]:
    """The places of the messages that `rendered`, made from `probed`, leaves out.

    Beside a call, the family decides whether a text counts.
    """
    if _LISTED in rendered:
        return set(range(len(messages)))
    return {
        at
        for at, message in enumerate(messages)
        if message["content"] and not message.get("tool_calls") and _word(at) not in rendered
    }


def holds(messages: list[Message], rendered: str) -> bool:
    """Whether `rendered` has the text of each message. Short texts can be there by chance."""
    places: dict[str, int] = {}
    for message in messages:
        text = message["content"].strip()
        if not text or message.get("tool_calls"):
            continue
        at = rendered.find(text, places.get(text, 0))
        if at < 0 or len(text) < _LEAST_SURE:
            return False
        places[text] = at + len(text)
    return True


def structure(messages: list[Message]) -> tuple[tuple[object, ...], ...]:
    """What decides which messages a template drops."""
    return tuple(
        (m["role"], bool(m["content"]), len(m.get("tool_calls", ())), *sorted(m)) for m in messages
    )


def _word(at: int) -> str:
    return f"word{at}word"


def _in_form(content: Content, text: str) -> Content:
    return text if isinstance(content, str) else in_parts(text)


def _unchanged(messages: list[Message], _: set[int]) -> list[Message]:
    return messages


def _in_parts(messages: list[Message], _: set[int]) -> list[Message]:
    """All contents as content parts (SmolVLM)."""
    return [m | {"content": in_parts(m["content"])} for m in messages]


def _lost_in_parts(messages: list[Message], gone: set[int]) -> list[Message]:
    roles = {messages[at]["role"] for at in gone}
    return [m | {"content": in_parts(m["content"])} if m["role"] in roles else m for m in messages]


def _in_known_roles(messages: list[Message], gone: set[int]) -> list[Message]:
    """Lost text at the start goes into the first message that counts, later text to the user."""
    start = next((at for at, m in enumerate(messages) if m["role"] not in _SYSTEM), len(messages))
    leading = [messages[at]["content"] for at in sorted(gone) if at < start]
    kept = [m if at not in gone else _of_user(m) for at, m in enumerate(messages)]
    kept = [m for at, m in enumerate(kept) if at not in gone or at >= start]
    if not leading:
        return kept
    if not kept:
        return [{"role": "user", "content": "\n\n".join(leading)}]
    first, *rest = kept
    texts = (
        [first["content"], *leading] if first["role"] in _SYSTEM else [*leading, first["content"]]
    )
    return [first | {"content": "\n\n".join(filter(None, texts))}, *rest]


def _of_user(message: Message) -> Message:
    text = message["content"]
    if message["role"] in RESULTS:
        text = in_words(text, last=True)
    return {"role": "user", "content": text}


REPAIRS: tuple[Repair, ...] = (_unchanged, _in_parts, _lost_in_parts, _in_known_roles)
"""In the order in which they are tried."""
