"""Checks of images, sound and files. A server may refuse each kind of part."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable

from minikin.catalog.probes.checks_input import ASKED_CODE, NEEDLE, new_code
from minikin.catalog.probes.probe import Asker, Body, Failed, Ignored, Inconclusive

_ASKED = "What colour is the picture? Answer with one word."
_RED, _BLUE = (220, 20, 20), (20, 20, 220)


def image_refusal(asker: Asker) -> str:
    """An image is refused with an error, or it is read: two images get two answers."""
    asker.ask(_ASKED, max_tokens=8, **asker.greedy)  # the same without an image works
    reply = asker.send(_with_image(_RED), max_tokens=8, **asker.greedy)
    if not 400 <= reply.status < 500:
        return input_image(asker)
    if not (said := asker.complaint(reply)):
        raise Failed(f"an image is refused with {reply.status} and without a reason")
    return f"refused with {reply.status}: {said[:80]}"


def input_image(asker: Asker) -> str:
    """Two images get two answers."""
    red, blue = (
        asker.optional(_with_image(colour), max_tokens=8, **asker.greedy)
        for colour in (_RED, _BLUE)
    )
    if red.text != blue.text:
        return "two images get two answers"
    plain = asker.ask(_ASKED, max_tokens=8, **asker.greedy)
    sizes = f"{red.prompt_tokens} tokens with an image, and {plain.prompt_tokens} without"
    raise Ignored(f"two images get the same answer; a prompt has {sizes}")


def _with_image(colour: tuple[int, int, int]) -> list[Body]:
    # The image comes first: a server that reads only the first part must not pass.
    return _message({"type": "image_url", "image_url": {"url": _picture(colour)}}, _ASKED)


def _message(part: Body, asked: str) -> list[Body]:
    return [{"role": "user", "content": [part, {"type": "text", "text": asked}]}]


def _picture(colour: tuple[int, int, int], side: int = 64) -> str:
    """A PNG of one colour, as a data URL."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(colour) * side) * side)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return f"data:image/png;base64,{b64encode(png).decode()}"


def input_audio(asker: Asker) -> str:
    """Three seconds of sound take more tokens of the prompt than one second."""
    short, long = (
        asker.optional(_with_sound(seconds), max_tokens=4, **asker.greedy).prompt_tokens
        for seconds in (1, 3)
    )
    if not short:
        raise Inconclusive("no prompt_tokens to count with")
    if long <= short:
        raise Ignored(f"1 and 3 seconds of sound make prompts of {short} and {long} tokens")
    return f"1 second of sound makes a prompt of {short} tokens, and 3 seconds one of {long}"


def _with_sound(seconds: int, rate: int = 8_000) -> list[Body]:
    """A question about a tone in a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        tone = (int(9_000 * math.sin(math.tau * 440 * at / rate)) for at in range(seconds * rate))
        sound.writeframes(b"".join(struct.pack("<h", level) for level in tone))
    data = {"data": b64encode(file.getvalue()).decode(), "format": "wav"}
    return _message({"type": "input_audio", "input_audio": data}, "What do you hear?")


def output_audio(asker: Asker) -> str:
    """On demand, the answer is sound: a WAV file that is not empty."""
    fields = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    reply = asker.offered(asker.send("Say hello.", max_tokens=64, **fields, **asker.greedy))
    audio = asker.answered(reply).choice["message"].get("audio")
    if not audio:
        raise Ignored("requested sound, got none")
    data = b64decode(audio["data"])
    if not data.startswith(b"RIFF") or len(data) < 1_000:
        raise Failed(f"the sound is not a WAV file, or is empty ({len(data)} bytes)")
    return f"a WAV file of {len(data)} bytes"


def input_pdf(asker: Asker) -> str:
    """A code that is only in a PDF file is in the answer."""
    return _read(asker, "note.pdf", "application/pdf", _pdf)


def attachments(asker: Asker) -> str:
    """A code that is only in a text file is in the answer."""
    return _read(asker, "note.txt", "text/plain", str.encode)


def _read(asker: Asker, name: str, kind: str, make: Callable[[str], bytes]) -> str:
    code = new_code()
    data = b64encode(make(NEEDLE.format(code))).decode()
    part = {"filename": name, "file_data": f"data:{kind};base64,{data}"}
    asked = _message({"type": "file", "file": part}, ASKED_CODE)
    reply = asker.optional(asked, max_tokens=24, **asker.greedy)
    if code in reply.text:
        return f"the answer has the code of {name}"
    plain = asker.ask(ASKED_CODE, max_tokens=24, **asker.greedy)
    long, short = reply.prompt_tokens, plain.prompt_tokens
    sizes = f"a prompt has {long} tokens with {name}, and {short} without"
    if long < short + 8:
        raise Ignored(sizes)
    raise Inconclusive(f"the code is not in the answer; {sizes}")


def _pdf(text: str) -> bytes:
    """A PDF file of one page with one line of text."""
    drawn = f"BT /F1 18 Tf 40 100 Td ({text}) Tj ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 200] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    file, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(file))
        file += f"{number} 0 obj\n{content}\nendobj\n"
    rows = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    table = f"xref\n0 {size}\n0000000000 65535 f \n{rows}"
    tail = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(file)}\n%%EOF\n"
    return (file + table + tail).encode()
