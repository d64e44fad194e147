"""One answer's text as its tokens come: what is shown when, and which tokens it completes."""

from hypothesis import given
from hypothesis import strategies as st

from minikin.engine.answer_text import AnswerText
from minikin.engine.messages import TokenEntry
from tests.engine.fakes import ByteTokenizer


class Words:
    """Token i is the i-th of these texts."""

    def __init__(self, *words):
        self._words = words

    def token_bytes(self, token):
        return self._words[token].encode()


def spelled(words, *stops):
    """The text of each token as it is shown, cut where tokens end; the rest as the last item."""
    answer = AnswerText(Words(*words), stops)
    shown = [answer.take(token, None) for token in range(len(words))]
    if not answer.stopped:
        shown.append(answer.finish())
    whole = shown[0]
    for later in shown[1:]:
        whole = whole.then(later)
    starts = (0, *whole.token_ends)
    return [whole.text[a:b] for a, b in zip(starts, (*whole.token_ends, None), strict=True)]


def test_each_token_has_its_own_text():
    assert spelled(["Hel", "lo", " there"]) == ["Hel", "lo", " there", ""]


def test_tokens_that_were_held_back_end_where_they_end():
    assert spelled(["a", "bc", "d", "e"], "bcdx") == ["a", "bc", "d", "e", ""]


def test_a_token_cut_by_a_stop_sequence_is_the_last_one_of_the_answer():
    assert spelled(["one", " two. ", "three"], ". t") == ["one", " two", ""]


def test_a_token_is_completed_by_the_last_of_its_text():
    answer = AnswerText(Words("abc", "d"), ("cx",))
    first, second = answer.take(0, None), answer.take(1, None)
    assert (first.text, first.token_ends) == ("ab", ())
    assert (second.text, second.token_ends) == ("cd", (1, 2))


@given(st.text(max_size=20), st.lists(st.text("ab<", min_size=1, max_size=3), max_size=2))
def test_every_token_is_in_one_event_and_brings_its_entry(text, stops):
    answer = AnswerText(ByteTokenizer(), tuple(stops))
    tokens, shown = text.encode(), []
    for token in tokens:
        shown.append(answer.take(token, TokenEntry(bytes([token]), -1.0, ())))
        if answer.stopped:
            break
    if not answer.stopped:
        shown.append(answer.finish())
    ends = [end for part in shown for end in part.token_ends]
    assert len(ends) == answer.visible_tokens
    entries = [entry.token for part in shown for entry in part.entries]
    assert entries == [bytes([token]) for token in tokens[: len(ends)]]
    assert all(list(part.token_ends) == sorted(part.token_ends) for part in shown)
    assert all(end <= len(part.text) for part in shown for end in part.token_ends)
    if not answer.stopped:
        assert len(ends) == len(tokens)
