from __future__ import annotations

import hashlib
import socket
import sys
import types
from pathlib import Path

import pytest
from gguf import GGUFWriter
from msgspec.structs import replace

from minikin.cli import app
from minikin.config import EngineSettings, ModelSettings, ServerSettings
from minikin.errors import SetupError
from minikin.hub.known import DEFAULT_MODEL, KNOWN_MODELS
from tests.processes import free_port

from .conftest import Minikin

ALIASES = ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServerSettings]:
    """The settings that the server was started with."""
    calls: list[ServerSettings] = []
    server = types.SimpleNamespace(serve=lambda settings, routes: calls.append(settings))
    monkeypatch.setitem(sys.modules, "minikin.api.server", server)
    monkeypatch.setattr(
        "minikin.logs.set_up", lambda level, *, as_json: None
    )  # it holds for the process
    return calls


@pytest.fixture(name="free_port")
def one_port() -> int:
    return free_port()


def serve(*args: str) -> None:
    app(["serve", *args], standalone_mode=False)


def test_defaults_are_those_of_the_settings(
    served: list[ServerSettings], tmp_path: Path, free_port: int
):
    file = tmp_path / "Tiny.Q4_0.gguf"
    file.write_bytes(b"GGUF")
    serve("--model", str(file), "--port", str(free_port))
    model = ModelSettings(id="Tiny.Q4_0", aliases=ALIASES, engine=EngineSettings(model=file))
    assert served == [ServerSettings(models=(model,), port=free_port)]


def test_the_record_of_a_known_model_says_how_to_sample_it(
    served: list[ServerSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "renamed.gguf"
    file.write_bytes(b"GGUF")
    digest = hashlib.sha256(b"GGUF").hexdigest()
    model = replace(KNOWN_MODELS[DEFAULT_MODEL], size=4, sha256=digest)
    monkeypatch.setitem(KNOWN_MODELS, DEFAULT_MODEL, model)
    serve("--model", f"mine={file}")
    expected = {"temperature": 0.2, "top_p": 0.9, "call_bias": 3.8}
    assert served[0].models[0].known_sampling == expected


@pytest.mark.parametrize(("gigabytes", "command"), [(8, "serve qwen3-4b"), (1, None)])
def test_the_default_model_has_a_note_that_names_a_better_one(
    served: list[ServerSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gigabytes: int,
    command: str | None,
):
    file = tmp_path / "renamed.gguf"
    file.write_bytes(b"GGUF")
    digest = hashlib.sha256(b"GGUF").hexdigest()
    model = replace(KNOWN_MODELS[DEFAULT_MODEL], size=4, sha256=digest)
    monkeypatch.setitem(KNOWN_MODELS, DEFAULT_MODEL, model)
    monkeypatch.setattr("minikin.machine.memory", lambda: gigabytes * 10**9)
    monkeypatch.setattr("minikin.machine.processors", lambda: 4)
    serve(str(file))
    note = served[0].models[0].note
    assert "small" in note
    assert note.endswith(f"minikin {command}") if command else "serve" not in note


def test_models_can_be_given_without_the_option(
    served: list[ServerSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("tiny.gguf", "other.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    serve(f"{tmp_path}/tiny.gguf")
    assert [model.id for model in served[0].models] == ["tiny"]
    facts = types.SimpleNamespace(memory=1, family="llama")
    monkeypatch.setattr("minikin.cli.facts.read_facts", lambda path: facts)
    serve(f"a={tmp_path}/tiny.gguf", "--model", f"b={tmp_path}/other.gguf")
    assert [model.id for model in served[1].models] == ["a", "b"]


def test_every_option_arrives(served: list[ServerSettings], tmp_path: Path, free_port: int):
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    options = (
        f"--model {file} --host 127.0.0.1 --port {free_port} --default-max-tokens 1 --max-queued 2 "
        "--context-length 3 --kv-cache-tokens 4 --max-running 5 --threads 6 --packed-cache 7 "
        f"--prefix-store {tmp_path} --prefix-store-size 8 "
        "--device cuda:1 "
        "--unload-after 8 --load-seconds 9 "
        "--sampling openai --hide-format "
        "--extensions --max-choices 7 --api-key one --api-key two --admin-key ops "
        "--public-catalog "
        "--max-queued-tokens 10 --queue-timeout 11 --first-token-timeout 12 --request-timeout 13 "
        "--allowed-host box.lan --allowed-host b "
        "--allowed-origin http://LocalHost:5173 --allowed-origin https://a.example:443 "
        f"--database {tmp_path}/kept.sqlite3 --files {tmp_path}/files "
        "--log-level error --log-format json --no-access-log"
    )
    serve(*options.split())
    engine = EngineSettings(
        model=file,
        context_length=3,
        kv_cache_tokens=4,
        max_running=5,
        threads=6,
        packed_cache=7,
        prefix_store=tmp_path,
        prefix_store_size=8,
        device="cuda:1",
    )
    assert served == [
        ServerSettings(
            models=(
                ModelSettings(
                    id="tiny",
                    aliases=ALIASES,
                    engine=engine,
                    sampling="openai",
                    hide_format=True,
                ),
            ),
            unload_after=8,
            load_seconds=9,
            port=free_port,
            default_max_tokens=1,
            max_queued=2,
            max_choices=7,
            extensions=True,
            api_keys=("one", "two"),
            admin_keys=("ops",),
            public_catalog=True,
            max_queued_tokens=10,
            queue_timeout=11,
            first_token_timeout=12,
            request_timeout=13,
            allowed_hosts=("box.lan", "b"),
            allowed_origins=("http://localhost:5173", "https://a.example"),
            database=str(tmp_path / "kept.sqlite3"),
            files=str(tmp_path / "files"),
            log_level="error",
            log_format="json",
            access_log=False,
        )
    ]


def test_one_model_under_several_names_is_loaded_once(served: list[ServerSettings], tmp_path: Path):
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    (tmp_path / "link.gguf").symlink_to(file)
    serve(f"small={file}", f"fast={tmp_path}/link.gguf", f"small={file}")
    assert [model.names for model in served[0].models] == [("small", "fast", *ALIASES)]


def test_a_file_of_configuration_names_models_and_their_aliases(
    served: list[ServerSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("tiny.gguf", "other.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    config = tmp_path / "config.toml"
    config.write_text(
        f'[aliases]\nsmall = "{tmp_path}/tiny.gguf"\n[serve]\nmodel = "small"\nmax-queued = 3\n'
    )
    monkeypatch.setenv("MINIKIN_CONFIG", str(config))
    serve()
    serve(f"{tmp_path}/other.gguf", "--max-queued", "4")
    assert [model.names for model in served[0].models] == [("tiny", "small", *ALIASES)]
    assert [model.names for model in served[1].models] == [("other", *ALIASES)]
    assert [settings.max_queued for settings in served] == [3, 4]


def test_several_models(served: list[ServerSettings], tmp_path: Path, monkeypatch):
    for name in ("tiny.gguf", "other.gguf", "third.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    facts = types.SimpleNamespace(memory=3 * 10**9, family="llama")
    monkeypatch.setattr("minikin.cli.facts.read_facts", lambda path: facts)
    models = ("--model", f"{tmp_path}/tiny.gguf", "--model", f"big={tmp_path}/other.gguf")
    serve(*models, "--memory-budget", "3.5")
    assert [(model.names, model.memory) for model in served[0].models] == [
        (("tiny", *ALIASES), 3 * 10**9),
        (("big",), 3 * 10**9),
    ]
    assert served[0].models[1].engine.model.name == "other.gguf"
    assert served[0].memory_budget == 3_500_000_000
    serve(*models, "--model", f"gpt-4.1-mini={tmp_path}/third.gguf")
    assert [model.names for model in served[1].models] == [("tiny",), ("big",), ALIASES]
    serve(*models, "--model", f"gpt-4.1-mini-2025-04-14={tmp_path}/third.gguf")
    assert [model.names for model in served[2].models] == [
        ("tiny", "gpt-4.1-mini"),
        ("big",),
        ("gpt-4.1-mini-2025-04-14",),
    ]
    for chosen in (models, models[:2]):
        with pytest.raises(SetupError, match=r"tiny needs about 3\.0 GB"):
            serve(*chosen, "--memory-budget", "2")
    with pytest.raises(SetupError, match="Two models have the name big"):
        serve(*models[2:], "--model", f"big={tmp_path}/third.gguf")


def test_one_of_several_that_cannot_be_used_is_named_at_the_start(
    served: list[ServerSettings], tmp_path: Path
):
    for name, family in (("good", "llama"), ("odd", "falcon")):
        writer = GGUFWriter(tmp_path / f"{name}.gguf", family)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    (tmp_path / "page.gguf").write_bytes(b"<html>")
    first = ("--model", f"a={tmp_path}/good.gguf")
    with pytest.raises(SetupError, match=r"^b: Cannot use the model file .*page\.gguf"):
        serve(*first, "--model", f"b={tmp_path}/page.gguf")
    with pytest.raises(
        SetupError, match=r"^c has the unsupported architecture 'falcon'. Supported: llama"
    ):
        serve(*first, "--model", f"c={tmp_path}/odd.gguf")
    assert not served


def test_keys_come_from_a_file_too(served: list[ServerSettings], tmp_path: Path):
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    (tmp_path / "keys").write_text("  first\n\nsecond \r\n")
    files = ("--model", str(tmp_path / "tiny.gguf"), "--api-key-file", str(tmp_path / "keys"))
    serve(*files, "--api-key", "given")
    assert served[0].api_keys == ("given",)
    assert served[0].api_key_file == tmp_path / "keys"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (b"", "contains no API key"),
        (b"\n \n", "contains no API key"),
        (b"good\ntwo words", "API key 2 is not valid"),
        ("schlüssel".encode(), "API key 1 is not valid"),
        (b"\xff\xfe", "it is not a text file"),
    ],
)
def test_a_bad_key_file_does_not_start_an_open_server(
    minikin: Minikin, tmp_path: Path, keys: bytes, message: str
):
    file = tmp_path / "keys"
    file.write_bytes(keys)
    run = minikin("serve", "--api-key-file", str(file))
    assert run.returncode == 1
    assert message in run.stderr
    assert "words" not in run.stderr, "a key must not get into a log"


def test_an_empty_key_does_not_start_an_open_server(minikin: Minikin):
    assert minikin("serve", "--api-key", "").returncode == 1


@pytest.mark.parametrize(
    "origin", ["*", "app://obsidian.md", "http://[::1]:80", "tauri://localhost"]
)
def test_an_origin_is_what_a_browser_sends(
    served: list[ServerSettings], tmp_path: Path, origin: str
):
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    serve("--model", str(tmp_path / "tiny.gguf"), "--allowed-origin", origin)
    assert served[0].allowed_origins == (origin.removesuffix(":80"),)


@pytest.mark.parametrize("origin", ["", "localhost:5173", "http://a.example/", "null", "http://*"])
def test_an_invalid_origin_is_rejected(minikin: Minikin, origin: str):
    run = minikin("serve", "./missing.gguf", "--allowed-origin", origin)  # before any download
    assert run.returncode == 1
    assert "is not an origin. Write scheme, host and port" in run.stderr


def test_a_missing_key_file(minikin: Minikin, tmp_path: Path):
    assert minikin("serve", "--api-key-file", str(tmp_path / "none")).returncode == 2


def test_help_says_what_each_setting_of_the_server_does(minikin: Minikin):
    shown = " ".join(minikin("serve", "--help").stdout.replace("│", " ").split())
    for option, said in {
        "--api-key": "An API key that clients can use",
        "--api-key-file": "A file with API keys, one per line",
        "--model": "Repeatable. NAME= sets the name for clients.",
        "--unload-after": "Unload a model after this time without a request",
        "--extensions": "Accept top_k, min_p, repetition_penalty and reasoning_effort",
        "--max-choices": "Maximum n of a request",
        "--allowed-host": "A host name that clients use",
        "--allowed-origin": "An origin whose web pages can use the server",
        "--files": "Folder for the contents of files",
        "--database": "SQLite file, or the postgresql:// URL",
    }.items():
        assert option in shown
        assert said in shown


def test_taken_port(minikin: Minikin, tmp_path: Path):
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = minikin("serve", "--port", str(port), "--model", str(file))
    assert run.returncode == 1
    assert f"Cannot listen on 127.0.0.1, port {port}: Address already in use" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_file_that_is_not_a_model(minikin: Minikin, tmp_path: Path, free_port: int):
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"not a model")
    run = minikin("serve", "--port", str(free_port), "--model", str(file))
    assert run.returncode == 1
    assert "Cannot use the model file" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("smollm2", "There is no model 'smollm2'. Did you mean smollm2-135m-instruct (98 MB)?"),
        ("./missing.gguf", "There is no file or folder missing.gguf."),
        ("https://host/page.html", "is not the URL of a .gguf file"),
    ],
)
def test_unknown_model(minikin: Minikin, free_port: int, model: str, message: str):
    run = minikin("serve", "--port", str(free_port), "--model", model)
    assert run.returncode == 1
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "option", ["--port=0", "--threads=0", "--context-length=-1", "--what=1", "--max-choices=129"]
)
def test_bad_option_values(minikin: Minikin, option: str):
    assert minikin("serve", option).returncode == 2
