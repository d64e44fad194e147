import pytest

from minikin.chat.thoughts import (
    GEMMA_THINK,
    MISTRAL_THINK,
    THINK,
    Said,
    Thought,
    ThoughtReader,
    is_thinking,
    thought_marks,
)

CASES = [
    ("<think>\nHm, 2 < 3.\n</think>\n\nYes.", False, "Hm, 2 < 3.", "Yes."),
    ("\n<think>a\n\nb</think>c", False, "a\n\nb", "c"),
    ("Hm.\n</think>\n\nYes.", True, "Hm.", "Yes."),
    ("<think>\n\n</think>\n\nYes.", False, "", "Yes."),
    ("Plain <think>words</think>", False, "", "Plain <think>words</think>"),
    ("  Plain", False, "", "  Plain"),
    ("<thin", False, "", "<thin"),
    ("<think>cut off </thi", False, "cut off </thi", ""),
    ("cut off\n", True, "cut off", ""),
    ("a</think>b</think>c <think>d", True, "a", "b</think>c <think>d"),
    ("a < b </ c </thinker </think>d", True, "a < b </ c </thinker", "d"),
    ("", False, "", ""),
    ("", True, "", ""),
]


def read(pieces, thinking, marks=THINK):
    reader = ThoughtReader(marks, thinking=thinking)
    parts = [part for piece in pieces for part in reader.feed(piece)] + reader.finish()
    assert all(part.text for part in parts)
    kinds = [type(part) for part in parts]
    assert kinds == sorted(kinds, key=lambda kind: kind is Said), "thoughts come first"
    return tuple(
        "".join(part.text for part in parts if isinstance(part, kind)) for kind in (Thought, Said)
    )


@pytest.mark.parametrize(("text", "thinking", "thought", "said"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_reasoning_and_content_are_separated_for_every_chunk_size(
    text, thinking, thought, said, size
):
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert read(pieces, thinking) == (thought, said)
    pieces = [in_mistrals_words(piece) for piece in pieces]
    told = read(pieces, thinking, MISTRAL_THINK)
    assert told == (in_mistrals_words(thought), in_mistrals_words(said))


def in_mistrals_words(text):
    return text.upper().replace("<", "[").replace(">", "]")


def test_reasoning_is_streamed():
    reader = ThoughtReader(THINK, thinking=False)
    assert reader.feed("<think>") == []
    assert reader.feed("\nOne") == [Thought("One")]
    assert reader.feed(" two </") == [Thought(" two")]
    assert reader.feed("b> three") == [Thought(" </b> three")]
    assert reader.thinking
    assert reader.feed("</think>") == []
    assert reader.feed("\n\n") == []
    assert reader.feed("Four") == [Said("Four")]
    assert not reader.thinking


def test_template_and_prompt_show_who_reasons():
    assert thought_marks("{{ content.split('</think>')[-1] }}") == THINK
    assert thought_marks("{{ '[THINK]' + text + '[/THINK]' }}") == MISTRAL_THINK
    assert thought_marks("{{ text.split('<channel|>')[-1].split('<|channel>') }}") == GEMMA_THINK
    assert thought_marks("{{ content }}") is None
    assert is_thinking("<|im_start|>assistant\n<think>\n", THINK)
    assert not is_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n", THINK)
    assert is_thinking("[/INST][THINK]", MISTRAL_THINK)
    assert not is_thinking("<|turn>model\n<|channel>thought\n<channel|>", GEMMA_THINK)


@pytest.mark.parametrize("size", [1, 4, 100])
def test_gemmas_channel_has_a_name(size):
    text = "<|channel>thought\nOne\n<channel|>Two"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert read(pieces, False, GEMMA_THINK) == ("One", "Two")
