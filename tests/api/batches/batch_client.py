"""What a client of batches does, and an engine that keeps it waiting."""

import asyncio
import json

from tests.fakes import ScriptedEngine
from tests.patience import until

CHAT = "/v1/chat/completions"


def line(name="a", text="Hi", url=CHAT, **body):
    asked = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": name, "method": "POST", "url": url, "body": asked}


def jsonl(*lines):
    return b"".join(
        (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines
    )


def begin(client, *lines, **options):
    file = client.files.create(file=("in.jsonl", jsonl(*lines)), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", **options
    )


def ended(client, batch, *, status="completed"):
    found = []

    def over():
        found[:] = [client.batches.retrieve(batch.id)]
        return found[0].status in ("completed", "failed", "expired", "cancelled")

    until(over)
    assert found[0].status == status, found[0]
    return found[0]


def results(client, file_id):
    if file_id is None:
        return {}
    lines = client.files.content(file_id).text.splitlines()
    read = [json.loads(each) for each in lines]
    named = {each["custom_id"]: each for each in read}
    assert len(named) == len(read)
    return named


class Held(ScriptedEngine):
    """Answers requests with `fast` in them at once, and the others when the test says so."""

    def __init__(self):
        super().__init__()
        self.running = 0
        self.most = 0
        self.let_go = False

    async def generate(self, request):
        text = bytes(t for t in request.prompt if t < 256)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            while b"fast" not in text and not self.let_go:
                await asyncio.sleep(0.01)
        finally:
            self.running -= 1
        async for event in super().generate(request):
            yield event
