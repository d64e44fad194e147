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
