"""Run the jobs on Minikin and on xllamacpp with the same model, and print how many come out right.

Both get the same requests at temperature 0, one after the other; speed plays no part.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import track

from bench.peers import ENVIRONMENTS, PEERS, Models, running
from bench.quality.jobs import Job, all_jobs

MAX_TOKENS = 256


def is_right(url: str, job: Job) -> bool:
    """Whether the server's answer is right. An error, or an answer that cannot be read, is not."""
    body: dict[str, Any] = {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": job.ask}],
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
    }
    answer = httpx.post(f"{url}/v1/chat/completions", json=body | job.options, timeout=300)
    return answer.status_code == 200 and job.judge(answer.json()["choices"][0])


def run(names: list[str], model: Path) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """Right answers of each server by kind of job, and how many jobs of each kind there are."""
    jobs = all_jobs()
    right: dict[str, Counter[str]] = {}
    for name in names:
        with running(PEERS[name], Models(model, model), ENVIRONMENTS / f"{name}.log") as server:
            right[name] = Counter(
                job.kind for job in track(jobs, f"Asking {name}") if is_right(server.url, job)
            )
    return right, Counter(job.kind for job in jobs)


def table(right: dict[str, Counter[str]], jobs: Counter[str]) -> str:
    """The counts as Markdown."""
    head = ["", "jobs", *right]
    rows = [
        [kind, str(count), *(str(r[kind]) for r in right.values())] for kind, count in jobs.items()
    ]
    rows.append(["all", str(jobs.total()), *(str(r.total()) for r in right.values())])
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows)) + "\n"


def main() -> None:
    """Prepare the servers, ask, print, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--servers", nargs="*", default=["minikin", "xllamacpp"], choices=PEERS)
    options = parser.parse_args()
    ENVIRONMENTS.mkdir(exist_ok=True)
    console = Console()
    for name in options.servers:
        with console.status(f"Preparing {name} (the first time takes minutes)"):
            PEERS[name].prepare()
    text = table(*run(options.servers, options.model))
    Path(__file__).parents[1].joinpath("results", "quality.md").write_text(text)
    console.print(Markdown(text))


if __name__ == "__main__":
    main()
