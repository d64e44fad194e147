"""How many fields a server fills in rightly: 95 small jobs with a schema, at temperature 0.

`python -m bench.extraction http://127.0.0.1:8000/v1`, for a server with and without
`--hide-format`.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

JOBS = Path(__file__).with_name("extraction.jsonl")
"""Each line: what the user writes, a schema, and the right values of its fields."""
TOKENS = 200


def main(url: str) -> None:
    """Print the score of the server at `url`."""
    jobs = [json.loads(line) for line in JOBS.read_text().splitlines()]
    with httpx.Client(base_url=url, timeout=600) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda job: ask(client, job), jobs))
    scores = [score(job["right"], answer) for job, (answer, _) in zip(jobs, answers, strict=True)]
    fields = sum(len(job["right"]) for job in jobs)
    whole = sum(got == len(job["right"]) for job, got in zip(jobs, scores, strict=True))
    prompt = sum(tokens for _, tokens in answers) / len(jobs)
    print(f"fields: {sum(scores)} of {fields}; whole answers: {whole} of {len(jobs)}")
    print(f"prompt tokens on average: {prompt:.0f}")


def ask(client: httpx.Client, job: dict[str, Any]) -> tuple[Any, int]:
    """The answer to one job, and its prompt tokens."""
    wanted = {"name": job["name"], "schema": job["schema"]}
    system = [{"role": "system", "content": job["system"]}] if "system" in job else []
    body = {
        "model": "gpt-4.1-mini",
        "messages": [*system, {"role": "user", "content": job["user"]}],
        "response_format": {"type": "json_schema", "json_schema": wanted},
        "max_tokens": TOKENS,
        "temperature": 0,
    }
    answer = client.post("chat/completions", json=body).raise_for_status().json()
    try:
        value = json.loads(answer["choices"][0]["message"]["content"])
    except ValueError:  # the limit cut it
        value = {}
    return value, answer["usage"]["prompt_tokens"]


def score(right: dict[str, list[Any]], answer: dict[str, Any]) -> int:
    """The number of fields with one of the right values. Case and a last period do not count."""
    return sum(
        plain(answer.get(field)) in [plain(value) for value in values]
        for field, values in right.items()
    )


def plain(value: Any) -> Any:
    """A value without what does not count."""
    if isinstance(value, str):
        return value.strip().rstrip(".").lower()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


if __name__ == "__main__":
    main(sys.argv[1])
