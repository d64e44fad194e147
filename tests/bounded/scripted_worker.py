"""A worker that does what a test asks of it: the first word says what."""

from __future__ import annotations

import hashlib
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from minikin.bounded.limits import OverTime
from minikin.bounded.worker import serve
from minikin.errors import SetupError


def begin(setup: str) -> Callable[[str], str]:
    if setup == "refuse":
        raise SetupError("I can't.")
    if setup.startswith("kill once "):
        once(kill, setup.removeprefix("kill once "))
        return act
    failing = {"die": die, "grow": grow, "hang": hang, "spin": spin}
    return act if setup == "fine" else failing[setup]()


def act(task: str) -> str:
    word, _, rest = task.partition(" ")
    known = {"echo": lambda: rest, "print": print_much, "die": die, "hang": hang, "spin": spin}
    known |= {"catch": catch, "one call": one_call, "memory": memory, "rubbish": rubbish}
    known |= {"grow": grow, "log": log_some, "kill": kill}
    known |= {
        f"{name} once {rest[5:]}": partial(once, known[name], rest[5:]) for name in ("die", "kill")
    }
    return known.get(task, known.get(word, die))()


def print_much():
    print("between the answers")
    os.write(1, b"and below Python")
    return "printed"


def log_some():
    log = logging.getLogger("minikin.scripted")
    log.debug("a detail")
    log.warning("a warning\n")
    return "logged"


def die():
    os.abort()


def kill():
    """As by somebody else."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(3600)


def once(act, path):
    if not Path(path).exists():
        Path(path).touch()
        act()
    return "done"


def hang():
    time.sleep(3600)


def spin():
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


def catch():
    try:
        spin()
    except OverTime as error:
        return str(error)


def one_call():
    """In C, which sees no signal: only the system can end it."""
    return hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000_000).hex()


def memory():
    return "x" * (1 << 40)


def grow():
    """As on a system that does not limit the address space."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    kept = b"x" * 200_000_000
    time.sleep(3600)
    return str(len(kept))


def rubbish():
    """As a library might that knows where the answers go."""
    answers = max(int(fd) for fd in os.listdir("/proc/self/fd") if is_pipe(fd))
    os.write(answers, b"HTTP/1.1 200 OK")
    time.sleep(3600)


def is_pipe(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")
    except OSError:
        return False


if __name__ == "__main__":
    if os.environ.get("RUBBISH"):
        sys.stdout.write(os.environ["RUBBISH"])
        sys.stdout.flush()
    serve(str, str, begin)
