import re

import msgspec
import pytest

from minikin.chat import call_formats
from minikin.chat.call_formats import CallFormat
from minikin.marks import CALL_MARKS, CHANNEL_MARKS, PYTHON_TAG

MARK = re.compile(r"</?[a-z_]+>|<[|｜].+?[|｜]>|\[[A-Z_]+\]")
FORMATS = [form for form in vars(call_formats).values() if isinstance(form, CallFormat)]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.begin)
def test_every_mark_of_a_format_is_one_that_the_tokenizer_keeps(form):
    texts = [text for text in msgspec.structs.astuple(form) if isinstance(text, str)]
    found = {mark for text in texts for mark in MARK.findall(text)}
    assert found <= {*CALL_MARKS, *CHANNEL_MARKS, PYTHON_TAG}
