"""Which names mean one model: the rules of spelling, and a table of aliases.

A *spelling* is a provider's id without its prefixes and routing tags. A *key* is the same for all
spellings of one model. `Names` chooses one spelling for each key. What stays ambiguous stays apart.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from minikin.catalog.facts.schema import table

_RULES = table("sources.yaml")["identity"]
_ROUTING = frozenset(_RULES["routing"])
_VENDOR = re.compile(
    rf"(?:(?:{'|'.join(_RULES['regions'])})\.)?(?:{'|'.join(_RULES['vendors'])})\."
)
_MAKER = re.compile("|".join(rf"^{maker}-+(?={own})" for maker, own in _RULES["makers"].items()))
_DATE = re.compile(
    r"-(20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01]))(?=$|-v\d|-thinking|-fast)"
)
_BEDROCK = re.compile(r"-v\d+$")
_CLAUDE_NEW = re.compile(r"claude-(\d+(?:-\d+)?)-(opus|sonnet|haiku)\b")
_CLAUDE_OLD = re.compile(r"claude-(opus|sonnet|haiku)-(3(?:-\d+)?)\b")


def spelling(offering: str) -> str:
    """The model's name in an offering's id: the last part, in lower case, without routing.

    A tag of size stays (`gpt-oss:20b` is `gpt-oss-20b`), and so does `thinking`. A name that says
    nothing, or that the user of a program chose, keeps its provider.
    """
    provider, _, own_id = offering.lower().partition("/")
    name, *tags = own_id.rsplit("/", 1)[-1].split(":")
    name = _VENDOR.sub("", name, count=1) if _VENDOR.match(name) else name
    name = _MAKER.sub("", name)
    if tags and tags[0].isdigit():
        # Bedrock's `-v1:0`, or a budget of thinking tokens.
        name = _BEDROCK.sub("", name)
    name, _, version = name.partition("@")
    if re.fullmatch(r"20\d{6}", version):
        name = f"{name}-{version}"
    kept = [tag for tag in tags if tag not in _ROUTING and not tag.isdigit()]
    name = "-".join([name, *kept]) or own_id
    generic = name in _RULES["generic"] or provider in _RULES["local"]
    return f"{provider}/{own_id}" if generic else name


def key(name: str) -> str:
    """What the spellings of one model have in common: dots, dashes and the order of words."""
    text = re.sub(r"[._]", "-", name.lower())
    text = re.sub(r"(?<=\d)p(?=\d)", "-", text)
    text = _CLAUDE_NEW.sub(lambda m: m[0] if m[1][0] in "123" else f"claude-{m[2]}-{m[1]}", text)
    text = _CLAUDE_OLD.sub(r"claude-\2-\1", text)
    return _aliases().get(text, text)


def undated(key: str) -> str:
    """The key without the date of a snapshot."""
    return _DATE.sub("", key)


def date_of(key: str) -> str | None:
    """The date of a snapshot in a key, as digits."""
    found = _DATE.search(key)
    return found[1].replace("-", "") if found else None


def _aliases() -> dict[str, str]:
    return table("aliases.yaml")["models"]


class Names:
    """The models behind spellings, and the spelling by which each model is known.

    A snapshot is the model itself if it is the only one: `gpt-4.1-mini-2025-04-14`. If there are
    several, as of `gpt-4o`, each stays apart, because the name without a date moves.
    """

    def __init__(self, spellings: Iterable[str]) -> None:
        counts = Counter(spelling.lower() for spelling in spellings)
        dates: dict[str, set[str]] = defaultdict(set)
        for name in counts:
            if date := date_of(key(name)):
                dates[undated(key(name))].add(date)
        self._moving = {base for base, known in dates.items() if len(known) > 1}
        groups: dict[str, list[str]] = defaultdict(list)
        for name in counts:
            groups[self._group(name)].append(name)
        self._known = {
            group: min(names, key=lambda name: (bool(date_of(key(name))), -counts[name], name))
            for group, names in groups.items()
        }

    def known(self, name: str) -> str:
        """The spelling of the model, in lower case. An unknown one is unchanged."""
        return self._known.get(self._group(name), name.lower())

    def floating(self, name: str) -> str | None:
        """The name without a date, if this is one of several snapshots of it."""
        group = self._group(name)
        base = undated(group)
        return self._known.get(base) if base != group else None

    def _group(self, name: str) -> str:
        whole = key(name)
        base = undated(whole)
        if base == whole or base not in self._moving:
            return base
        return f"{base}-{date_of(whole)}"
