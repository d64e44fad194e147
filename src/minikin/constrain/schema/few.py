"""Regular expressions with only a few matching texts, such as those of property names."""

from __future__ import annotations

import re
from itertools import product

_WHOLE = re.compile(r"\^(?:\((?:\?:)?(?P<group>[^()]*)\)|(?P<plain>[^()|]*))\$")
_ATOM = re.compile(
    r"\\(?P<escaped>[^\w\s])|\[(?P<set>[^\\\[\]^-]+(?:-[^\\\[\]^-]+)*)\]|[^\\.^$*+?{}[\]]"
)
_RANGE = re.compile(r"(.)-(.)")


def few_texts(pattern: str, most: int) -> list[str] | None:
    """The texts that `pattern` matches. None if there are more than `most`, or if unknown."""
    whole = _WHOLE.fullmatch(pattern)
    if whole is None:
        return None
    inner = whole["group"] if whole["group"] is not None else whole["plain"]
    texts: list[str] = []
    for way in inner.split("|"):
        choices = _choices(way)
        if choices is None:
            return None
        for characters in product(*choices):
            texts.append("".join(characters))
            if len(texts) > most:
                return None
    return list(dict.fromkeys(texts))


def _choices(way: str) -> list[str] | None:
    """For each place the allowed characters. None if they are not plain characters."""
    found: list[str] = []
    at = 0
    while at < len(way):
        atom = _ATOM.match(way, at)
        if atom is None:
            return None
        found.append(_members(atom["set"]) if atom["set"] else atom["escaped"] or atom[0])
        at = atom.end()
    return found


def _members(written: str) -> str:
    """The characters of a set such as `a-cx`."""
    spelt = _RANGE.sub(lambda m: "".join(map(chr, range(ord(m[1]), ord(m[2]) + 1))), written)
    return "".join(dict.fromkeys(spelt))
