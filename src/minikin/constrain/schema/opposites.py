"""Patterns of the texts that a negative look-ahead allows, for a few kinds of look-aheads."""

from __future__ import annotations

import re

_ATOM = r"(?:\\[dDwWsS]|\\[^\w\s]|\[\^?(?:\\.|[^\]\\\[])+\]|[^\\.^$*+?{}()|\[\]]|\.)"
_ONLY = re.compile(rf"({_ATOM})([*+])\$")
_CONTAINS = re.compile(rf"\.\*\??({_ATOM})({_ATOM})?")
_BEGINS = re.compile(rf"{_ATOM}{{1,8}}\$?")
_ANY = r"(?:.|\n)"


def opposites(ahead: str) -> list[str] | None:
    """Patterns that all match a text whose beginning `ahead` does not match.

    None for other kinds of `ahead` than these: only certain characters up to the end, one or two
    characters anywhere, or a few at the beginning.
    """
    ahead = ahead.removeprefix("^")
    if only := _ONLY.fullmatch(ahead):
        unlike = f"{_ANY}*{_other(only[1])}"
        return [f"^{unlike}" if only[2] == "*" else f"^(?:$|{unlike})"]
    if contains := _CONTAINS.fullmatch(ahead):
        without = _without(contains[1], contains[2])
        return [without] if without else None
    ways = ahead.split("|")
    if not all(_BEGINS.fullmatch(way) for way in ways):
        return None
    return ["^" + _not_begun(re.findall(_ATOM, way), whole=way[-1] == "$") for way in ways]


def _without(first: str, second: str | None) -> str | None:
    """Texts without `first`, or without `first` before `second`."""
    if second is None:
        return f"^{_other(first)}*$"
    if first == second:
        return f"^(?:{_other(first)}|{first}{_other(first)})*{first}?$"
    if len(first.removeprefix("\\")) > 1 or len(second.removeprefix("\\")) > 1:
        return None
    return f"^(?:{_other(first)}|{first}+[^{first}{second}])*{first}*$"


def _not_begun(atoms: list[str], *, whole: bool) -> str:
    """Texts that do not start with `atoms`. With `whole`, texts that differ from `atoms`."""
    way = _ANY if whole else ""
    for atom in reversed(atoms):
        way = f"(?:$|{_other(atom)}|{atom}{way})" if way else f"(?:$|{_other(atom)})"
    return way


def _other(atom: str) -> str:
    """Every character except those of `atom`."""
    if atom == ".":
        return r"\n"
    if atom[0] == "\\" and atom[1] in "dDwWsS":
        return atom.swapcase()
    if atom[0] == "[":
        return f"[{atom[2:]}" if atom[1] == "^" else f"[^{atom[1:]}"
    return f"[^{atom}]"
