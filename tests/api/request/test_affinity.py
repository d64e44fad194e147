"""Which requests share a key: the turns of a conversation, and those of one `prompt_cache_key`."""

import httpx
import pytest

from tests.fakes import ScriptedEngine

CHAT = "/v1/chat/completions"
SYSTEM = {"role": "system", "content": "Be brief."}
HI = {"role": "user", "content": "Hi"}


@pytest.fixture(scope="module")
def key_of(shared_server):
    """The key in the answer to a request."""

    def key_of(path=CHAT, **body):
        answer = httpx.post(shared_server.url + path, json={"model": "tiny"} | body)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-session-id"]

    return key_of


def test_the_turns_of_a_conversation_share_a_key(key_of):
    first = key_of(messages=[SYSTEM, HI])
    turns = [SYSTEM, HI, {"role": "assistant", "content": "Hello"}, HI]
    assert key_of(messages=turns) == first
    assert key_of(messages=turns, temperature=0, stream=True) == first


def test_conversations_with_one_system_prompt_spread(key_of):
    contents = ["Hi", "Ho", "Hm"]
    asked = [[SYSTEM, {"role": "user", "content": text}] for text in contents]
    assert len({key_of(messages=messages) for messages in asked}) == 3


def test_prompt_cache_key_has_priority(key_of):
    others = [SYSTEM, {"role": "user", "content": "Other"}]
    named = key_of(messages=[HI], prompt_cache_key="tenant 7\r\n")
    assert key_of(messages=others, prompt_cache_key="tenant 7\r\n") == named
    assert key_of(messages=others, prompt_cache_key="tenant 8") != named
    assert key_of(messages=[HI]) != named


def test_a_chain_of_responses_keeps_its_key(key_of, shared_server):
    url = f"{shared_server.url}/v1/responses"
    first = httpx.post(url, json={"model": "tiny", "input": "Hi"})
    chained = {"input": "More", "previous_response_id": first.json()["id"]}
    assert key_of("/v1/responses", **chained) == first.headers["x-session-id"]
    assert key_of("/v1/responses", input="More") != first.headers["x-session-id"]


def test_owners_do_not_share_a_key(serve):
    server = serve(api_keys=("mk-0123456789abcdef", "mk-fedcba9876543210"))
    keys = {
        httpx.post(
            server.url + CHAT,
            json={"model": "tiny", "messages": [HI]},
            headers={"authorization": f"Bearer {key}"},
        ).headers["x-session-id"]
        for key in ("mk-0123456789abcdef", "mk-fedcba9876543210")
    }
    assert len(keys) == 2


def test_a_raw_prompt_has_a_key_too(serve):
    server = serve(ScriptedEngine(), extensions=True)
    keys = [
        httpx.post(
            f"{server.url}/v1/completions", json={"model": "tiny", "prompt": "a" * 256 + end}
        ).headers["x-session-id"]
        for end in ("b", "c")
    ]
    assert keys[0] == keys[1]
