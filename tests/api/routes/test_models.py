import httpx
import openai
import pytest

from minikin.config import EngineSettings, ModelSettings
from tests.fakes import ScriptedEngine
from tests.raw_http import HI

NAMES = ["tiny", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"]


def test_all_names_are_listed_with_what_they_take(shared_server):
    httpx.post(f"{shared_server.url}/v1/chat/completions", json=HI).raise_for_status()
    listed = httpx.get(f"{shared_server.url}/v1/models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == NAMES
    for model in listed["data"]:
        assert model["object"] == "model"
        assert model["context_length"] == model["max_output_tokens"] == ScriptedEngine().window
        assert httpx.get(f"{shared_server.url}/v1/models/{model['id']}").json() == model


def test_an_alias_names_the_model_that_it_means(shared_server):
    listed = httpx.get(f"{shared_server.url}/v1/models").json()["data"]
    assert [model.get("root") for model in listed] == [None, "tiny", "tiny"]


def test_the_output_is_never_longer_than_the_originals(serve):
    server = serve(ScriptedEngine(window=100_000))
    model = httpx.get(f"{server.url}/v1/models/tiny").json()
    assert (model["context_length"], model["max_output_tokens"]) == (100_000, 32_768)


@pytest.mark.parametrize("name", ["foo", "gpt-4.1", "gpt-4.1-mini-2025-04-15", "GPT-4.1-mini"])
def test_other_names_are_not_found(shared_server, name):
    answer = httpx.get(f"{shared_server.url}/v1/models/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert answer.json()["error"]["param"] == "model"


@pytest.mark.parametrize(
    ("asked", "reported"),
    [
        ("tiny", "tiny"),
        ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini-2025-04-14"),
    ],
)
def test_an_answer_reports_the_dated_name_as_the_original_does(shared_server, asked, reported):
    ask = {**HI, "model": asked}
    with openai.OpenAI(base_url=f"{shared_server.url}/v1", api_key="any") as client:
        assert client.chat.completions.create(**ask).model == reported
        chunks = client.chat.completions.create(**ask, stream=True)
        assert {chunk.model for chunk in chunks} == {reported}


def test_stored_completions_are_found_by_both_names(serve):
    server = serve()
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any") as client:
        made = {
            name: client.chat.completions.create(**{**HI, "model": name}, store=True).id
            for name in NAMES
        }
        for name, ids in {
            "gpt-4.1-mini": [made[NAMES[1]], made[NAMES[2]]],
            "gpt-4.1-mini-2025-04-14": [made[NAMES[1]], made[NAMES[2]]],
            "tiny": [made["tiny"]],
        }.items():
            assert [kept.id for kept in client.chat.completions.list(model=name)] == ids


def test_a_model_that_is_not_loaded_is_read_from_its_file(serve, tmp_path):
    loaded = ModelSettings(id="a", engine=EngineSettings(model=tmp_path / "a.gguf"))
    other = ModelSettings(id="b", engine=EngineSettings(model=tmp_path / "b.gguf"))
    first, second = httpx.get(f"{serve(models=(loaded, other)).url}/v1/models").json()["data"]
    assert first["context_length"] == ScriptedEngine().window
    assert "context_length" not in second
