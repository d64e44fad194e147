"""A server with a scripted engine as a process of its own, for tests that kill it.

`python server_process.py FOLDER`: it prints its address. Its database is in FOLDER.
"""

import signal
import sys
from pathlib import Path

from tests.fakes import ScriptedEngine, live_server

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with live_server(ScriptedEngine(pause=0.05), database=str(folder / "kept.sqlite3")) as server:
        print(server.url, flush=True)
        signal.pause()
