import io

import httpx
import openai
import pytest

from tests.openai_clients import client_of
from tests.patience import until

LINES = b'{"a": 1}\nnot JSON\n'


def upload(server, form, file=("a.jsonl", b"x"), **options):
    files = {"file": file} if file else {"x": ("x", b"")}
    return httpx.post(f"{server.url}/v1/files", data=form, files=files, **options)


def raw(server, *parts, ending=b"--b--\r\n"):
    body = b"".join(b"--b\r\n%s\r\n\r\n%s\r\n" % part for part in parts) + ending
    headers = {"content-type": "multipart/form-data; boundary=b"}
    return httpx.post(f"{server.url}/v1/files", content=body, headers=headers)


def field(name, value):
    return b'Content-Disposition: form-data; name="%s"' % name, value


FILE = (b'Content-Disposition: form-data; name="file"; filename="\xc3\xa9.jsonl"', b"1\r\n2")


def test_a_file_comes_back_as_it_was_uploaded(serve):
    client = client_of(serve())
    made = client.files.create(file=("lines.jsonl", LINES), purpose="batch")
    assert made.id.startswith("file-")
    assert len(made.id) == 27
    assert (made.bytes, made.filename, made.purpose) == (len(LINES), "lines.jsonl", "batch")
    assert (made.status, made.object) == ("processed", "file")
    assert made.expires_at == made.created_at + 30 * 24 * 3600
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).content == LINES
    gone = client.files.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "file")
    for attempt in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError, match=f"No such File object: {made.id}") as fault:
            attempt(made.id)
        assert (fault.value.param, fault.value.code) == ("id", None)


def test_a_large_file_survives_a_restart(serve, tmp_path):
    place = {"database": str(tmp_path / "kept.sqlite3"), "files": str(tmp_path / "files")}
    data = bytes(range(256)) * 4096 * 5
    made = client_of(serve(**place)).files.create(file=("x", io.BytesIO(data)), purpose="evals")
    assert made.expires_at is None
    assert client_of(serve(**place)).files.content(made.id).content == data


def test_the_client_can_say_when_a_file_expires(serve):
    client = client_of(serve())
    after = {"anchor": "created_at", "seconds": 3600}
    made = client.files.create(file=("a.jsonl", b""), purpose="batch", expires_after=after)
    assert made.expires_at == made.created_at + 3600
    assert made.bytes == 0


def test_an_expired_file_is_gone(serve, monkeypatch):
    server = serve()
    client = client_of(server)
    made = client.files.create(file=("a.jsonl", b"x"), purpose="batch")
    later = made.created_at + 31 * 24 * 3600
    monkeypatch.setattr("minikin.store.files.time.time", lambda: later)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)
    assert client.files.list().data == []


def test_the_server_deletes_what_has_expired(serve, monkeypatch):
    monkeypatch.setattr("minikin.api.serving.service.SWEEP_SECONDS", 0.05)
    server = serve()
    made = client_of(server).files.create(file=("a.jsonl", b"x"), purpose="batch")
    kept = server.service.store.database.path.with_suffix(".files") / made.id
    assert kept.exists()
    later = made.created_at + 31 * 24 * 3600
    monkeypatch.setattr("minikin.store.files.time.time", lambda: later)
    until(lambda: not kept.exists())


def test_files_are_listed_in_pages_of_one_purpose(serve):
    client = client_of(serve())
    ids = [client.files.create(file=("x", b"x"), purpose="evals").id for _ in range(3)]
    other = client.files.create(file=("x.jsonl", b"x"), purpose="batch").id
    assert [file.id for file in client.files.list()] == [other, *ids[::-1]]
    assert [file.id for file in client.files.list(purpose="evals", order="asc", limit=2)] == ids
    page = client.files.list(limit=2, after=other)
    assert [file.id for file in page.data] == ids[:0:-1]
    assert page.has_more


def test_another_key_does_not_find_a_file(serve):
    keys = ("key-of-ada-0123456789", "key-of-bob-0123456789")
    server = serve(api_keys=keys)
    ada, bob = (client_of(server, key) for key in keys)
    made = ada.files.create(file=("x", b"x"), purpose="evals")
    assert bob.files.list().data == []
    for attempt in (bob.files.retrieve, bob.files.content, bob.files.delete):
        with pytest.raises(openai.NotFoundError):
            attempt(made.id)
    assert ada.files.content(made.id).content == b"x"


def test_the_parts_come_in_any_order(serve):
    server = serve()
    purpose = field(b"purpose", b"batch")
    for parts in ((FILE, purpose), (purpose, FILE)):
        made = raw(server, *parts)
        assert made.status_code == 200, made.text
        assert made.json()["filename"] == "é.jsonl"
        content = httpx.get(f"{server.url}/v1/files/{made.json()['id']}/content")
        assert content.content == b"1\r\n2"


def test_files_for_the_model_are_not_returned(serve):
    client = client_of(serve())
    made = client.files.create(file=("x", b"x"), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="download files of purpose: user_data"):
        client.files.content(made.id)


NAMED = "['fine-tune', 'assistants', 'batch', 'user_data', 'responses', 'vision']"
AFTER = "expires_after[seconds]"


@pytest.mark.parametrize(
    ("form", "file", "message", "param", "code"),
    [
        ({}, ("a", b""), "'purpose' is a required property", None, None),
        ({"purpose": "batch"}, None, "'file' is a required property", None, None),
        (
            {"purpose": "answers"},
            ("a", b""),
            f"'answers' is not one of {NAMED} - 'purpose'",
            None,
            None,
        ),
        (
            {"purpose": "batch"},
            ("a.txt", b""),
            "Invalid file format for Batch API. Must be .jsonl",
            None,
            None,
        ),
        (
            {"purpose": "evals", AFTER: "3600"},
            ("a", b""),
            "Missing required parameter: 'expires_after.anchor'.",
            "expires_after.anchor",
            "missing_required_parameter",
        ),
        (
            {"purpose": "evals", "expires_after[anchor]": "created_at", AFTER: "3599"},
            ("a", b""),
            "Invalid 'expires_after.seconds': integer below minimum value. "
            "Expected a value >= 3600, but got 3599 instead.",
            "expires_after.seconds",
            "integer_below_min_value",
        ),
        (
            {"purpose": "evals", "zzz": "1"},
            ("a", b""),
            "Unknown parameter: 'zzz'.",
            "zzz",
            "unknown_parameter",
        ),
    ],
)
def test_a_bad_form_is_an_error_and_leaves_nothing(serve, form, file, message, param, code):
    server = serve()
    fault = upload(server, form, file)
    assert fault.status_code == 400
    error = fault.json()["error"]
    assert (error["message"], error["param"], error["code"]) == (message, param, code)
    assert error["type"] == "invalid_request_error"
    assert list(server.service.store.database.path.with_suffix(".files").iterdir()) == []


def test_the_wrong_ending_has_the_second_key_that_openai_sends(serve):
    fault = upload(serve(), {"purpose": "batch"}, ("a.json", b"")).json()
    message = "Invalid file format for Batch API. Must be .jsonl"
    assert fault["detail"] == {"message": message, "code": None}


@pytest.mark.parametrize(
    ("parts", "ending"),
    [
        ((field(b"purpose", b"batch"), field(b"purpose", b"evals"), FILE), b"--b--\r\n"),
        ((field(b"purpose", b"evals"), FILE, FILE), b"--b--\r\n"),
        ((field(b"purpose", b"evals"), FILE), b""),
        ((field(b"purpose", b"x" * 5000), FILE), b"--b--\r\n"),
        ((*(field(b"f%d" % at, b"") for at in range(20)), FILE), b"--b--\r\n"),
        (((b"X: y", b""), FILE), b"--b--\r\n"),
        (((b"Content-Disposition: attachment; name=file", b""),), b"--b--\r\n"),
        (((b"X" * 9000, b""),), b"--b--\r\n"),
        (((b"", b""),), b"--b--\r\n"),
        ((field(b"expires_after", b"1"), field(b"expires_after[a]", b"1"), FILE), b"--b--\r\n"),
        ((), b"nothing"),
        ((), b""),
    ],
)
def test_a_form_that_is_not_one_is_an_error(shared_server, caplog, parts, ending):
    fault = raw(shared_server, *parts, ending=ending)
    assert not [record for record in caplog.records if record.name.startswith("python_multipart")]
    assert fault.status_code == 400, fault.text
    assert set(fault.json()["error"]) == {"message", "type", "param", "code"}


def test_a_body_of_another_kind_is_an_error(shared_server):
    url = f"{shared_server.url}/v1/files"
    assert httpx.post(url, json={}).status_code == 415
    kind = {"content-type": "multipart/form-data"}
    assert httpx.post(url, content=b"x", headers=kind).status_code == 415
    kind = {"content-type": f"multipart/form-data; boundary={'b' * 300}"}
    assert httpx.post(url, content=b"x", headers=kind).status_code == 400


def test_a_file_that_is_too_large_is_an_error(serve, monkeypatch):
    monkeypatch.setattr("minikin.api.routes.files.MAX_FILE_BYTES", 1000)
    monkeypatch.setattr("minikin.api.routes.files.MAX_BATCH_BYTES", 100)
    server = serve()
    for purpose, size in (("evals", 1001), ("batch", 101)):
        fault = upload(server, {"purpose": purpose}, ("a.jsonl", b"x" * size))
        assert fault.status_code == 413
    assert upload(server, {"purpose": "evals"}, ("a", b"x" * 1000)).status_code == 200


def test_an_owner_has_a_most_of_files(serve, monkeypatch):
    monkeypatch.setattr("minikin.store.files.MAX_TOTAL_BYTES", 10)
    server = serve()
    assert upload(server, {"purpose": "evals"}, ("a", b"x" * 10)).status_code == 200
    fault = upload(server, {"purpose": "evals"}, ("a", b"x"))
    assert fault.status_code == 400
    assert "Delete files that you do not need" in fault.json()["error"]["message"]


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "order=up", "page=2"])
def test_a_bad_query_is_an_error(shared_server, query):
    assert httpx.get(f"{shared_server.url}/v1/files?{query}").status_code == 400


@pytest.mark.parametrize("name", ["x", "..%2f..%2fetc%2fpasswd", "%00", "a" * 4000])
def test_names_that_are_not_ids_are_not_found(shared_server, name):
    for path in (name, f"{name}/content"):
        missing = httpx.get(f"{shared_server.url}/v1/files/{path}")
        assert missing.status_code == 404
        assert len(missing.text) < 500
