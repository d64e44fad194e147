import time

from hypothesis import given
from hypothesis import strategies as st

from minikin.engine.messages import Unsearched
from minikin.engine.stop_matcher import StopMatcher

letters = st.text("abc", max_size=4)


def whole(text, stops):
    """The definition: cut where the first stop text begins."""
    begins = [text.find(stop) for stop in stops if stop and stop in text]
    return (text[: min(begins)], True) if begins else (text, False)


@given(st.lists(letters, max_size=12), st.lists(letters, max_size=4))
def test_pieces_give_what_the_whole_text_gives(pieces, stops):
    matcher = StopMatcher(tuple(stops))
    shown = ""
    for piece in pieces:
        released, matched = matcher.feed(piece)
        shown += released
        if matched:
            break
    else:
        released, matched = matcher.flush()
        shown += released
    assert (shown, matched) == whole("".join(pieces), stops)


def test_only_what_may_begin_a_stop_text_is_held_back():
    matcher = StopMatcher(("###",))
    assert matcher.feed("one #") == ("one ", False)
    assert matcher.feed("two ##") == ("#two ", False)
    assert matcher.feed("#") == ("", True)


@given(st.lists(letters, max_size=12), st.lists(letters, max_size=4))
def test_text_is_held_back_exactly_while_it_may_begin_a_stop_text(pieces, stops):
    def may_begin(end):
        return any(stop.startswith(end) and stop != end for stop in stops)

    matcher = StopMatcher(tuple(stops))
    seen = shown = ""
    for piece in pieces:
        seen += piece
        released, matched = matcher.feed(piece)
        shown += released
        if matched:
            return
        assert seen == shown or may_begin(seen[len(shown) :])
        assert not any(may_begin(seen[at:]) for at in range(len(shown)))


def test_a_stop_text_that_begins_earlier_is_waited_for():
    assert StopMatcher(("b", "abc")).feed("xb") == ("x", True)
    for rest, shown in [("c", ""), ("x", "a")]:
        matcher = StopMatcher(("b", "abc"))
        assert matcher.feed("ab") == ("", False)
        assert matcher.feed(rest) == (shown, True)


def test_stops_that_share_a_long_beginning_cost_no_more_than_others():
    matcher = StopMatcher(tuple("a" * 255 + last for last in "bcde"))
    started = time.process_time()
    for _ in range(2000):
        matcher.feed("a" * 200)
        matcher.feed("x")
    assert time.process_time() - started < 5


CALLS, THOUGHTS = Unsearched("<call>"), Unsearched("<think>", "</think>")
pieces_of_passages = st.lists(
    st.sampled_from(["<", "call>", "think>", "/think>", "a", "b", " ", "<call>", "<think>", "</"]),
    max_size=12,
)


def cut(text, stops, begun):
    """The definition: each stretch of words is cut by itself."""
    shown, inside = "", begun
    while text:
        if inside:
            size = text.find("</think>") + len("</think>") if "</think>" in text else len(text)
            size += len(text[size:]) - len(text[size:].lstrip())
            inside = False
        else:
            begins = [at for mark in ("<call>", "<think>") if (at := text.find(mark)) >= 0]
            size = min(begins, default=len(text))
            words, stopped = whole(text[:size], stops)
            if stopped:
                return shown + words, True
            if text.startswith("<call>", size):
                return shown + text, False
            inside = size < len(text)
        shown, text = shown + text[:size], text[size:]
    return shown, False


@given(
    pieces_of_passages, st.lists(st.sampled_from(["a", "<", "b<", " ", ">a", "ab"])), st.booleans()
)
def test_passages_are_not_searched(pieces, stops, begun):
    passages = (Unsearched("", "</think>") if begun else THOUGHTS, THOUGHTS, CALLS)
    matcher = StopMatcher(tuple(stops), passages)
    shown = ""
    for piece in pieces:
        released, matched = matcher.feed(piece)
        shown += released
        if matched:
            break
    else:
        released, matched = matcher.flush()
        shown += released
    assert (shown, matched) == cut("".join(pieces), stops, begun)


def test_text_that_only_starts_like_a_mark_is_searched():
    matcher = StopMatcher(("<c",), (CALLS,))
    assert matcher.feed("So <c") == ("So ", False)
    assert matcher.feed("all") == ("", False)
    assert matcher.feed(" me") == ("", True)


def test_an_answer_that_is_a_call_from_the_beginning_is_never_searched():
    matcher = StopMatcher(("a",), (Unsearched(""),))
    assert matcher.feed("a call") == ("a call", False)
    assert matcher.flush() == ("", False)
