"""instructor: response models by tools and by JSON schema."""

from __future__ import annotations

import openai
import pytest

from tests.clients.jobs import MODEL, REVIEW, Review

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def instructor():
    """Not imported by the processes that run other tests: it takes seconds."""
    return pytest.importorskip("instructor")


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA"])
def test_an_object_is_filled_in(instructor, base_url, mode):
    with openai.OpenAI(base_url=base_url, api_key="any", max_retries=0) as plain:
        client = instructor.from_openai(plain, mode=instructor.Mode[mode])
        review = client.chat.completions.create(
            model=MODEL,
            response_model=Review,
            messages=[{"role": "user", "content": REVIEW}],
            max_retries=0,
            temperature=0,
            max_tokens=400,
        )
    assert isinstance(review, Review)


def test_an_object_grows_piece_by_piece(instructor, base_url):
    with openai.OpenAI(base_url=base_url, api_key="any", max_retries=0) as plain:
        client = instructor.from_openai(plain, mode=instructor.Mode.TOOLS)
        pieces = client.chat.completions.create_partial(
            model=MODEL,
            response_model=Review,
            messages=[{"role": "user", "content": REVIEW}],
            max_retries=0,
            temperature=0,
            max_tokens=400,
        )
        grown = list(pieces)
    assert len(grown) > 3
    Review.model_validate(grown[-1].model_dump())
