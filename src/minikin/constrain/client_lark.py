"""A client's Lark grammar of a text.

llguidance reads it as it is, so its dialect counts
(https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md), as at OpenAI. What refers to
tokens, schemas or other grammars is not for clients.
"""

from __future__ import annotations

import re

from llguidance import LLTokenizer

from minikin.constrain.matching import fault_of, new_matcher

_TOKEN = re.compile(
    r"""(?://|\#)[^\n]*
    | "(?:\\.|[^"\\\n])*"
    | /(?:\\.|[^/\\\n])+/
    | (?P<foreign>%(?!ignore\b|import\b)\w*|<[^>\n]*>?|@\w*|\w+\[[^\]\n]*\]\s*:|\w+::)
    | .""",
    re.VERBOSE | re.DOTALL,
)


def fault_in(definition: str) -> str | None:
    """Why a client cannot have this grammar. None if it can."""
    for found in _TOKEN.finditer(definition):
        if foreign := found["foreign"]:
            return f"{foreign.strip()[:64]!r} is not supported."
    return fault_of(new_matcher(LLTokenizer("byte"), definition))
