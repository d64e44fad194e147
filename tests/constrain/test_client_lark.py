from __future__ import annotations

import pytest

from minikin.constrain.client_lark import fault_in


@pytest.mark.parametrize(
    "definition",
    [
        'start: "a"',
        'start: expr\nexpr: "1" ("+" expr)? -> sum | "(" expr ")"',
        'start: WORD\n%import common.WORD\n%ignore " "',
        'start: "@x <y> %json z[1]: " /<%json@>/  // %json <[1]>',
    ],
)
def test_a_grammar_of_text_is_followed(definition):
    assert fault_in(definition) is None


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("start: missing", 'unknown name: "missing"'),
        ("start: /(/", "unclosed group"),
        ('other: "a"', "no start rule"),
        ('start: %json {"type": "object"}', "'%json' is not supported."),
        ("start: @input_66", "'@input_66' is not supported."),
        ("start: <|im_end|>", "'<|im_end|>' is not supported."),
        ("start: <[1]>", "'<[1]>' is not supported."),
        ("start[max_tokens=1]: /.*/", "'start[max_tokens=1]:' is not supported."),
        ('%llguidance {}\nstart: "a"', "'%llguidance' is not supported."),
    ],
)
def test_what_is_no_text_is_not_supported(definition, reason):
    assert reason in (fault_in(definition) or "")
