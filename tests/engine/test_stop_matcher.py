import time

from hypothesis import given
from hypothesis import strategies as st

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
