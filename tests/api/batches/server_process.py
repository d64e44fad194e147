"""A server with a scripted engine as a process of its own, for tests that kill it.

`python server_process.py DATABASE FOLDER`: it prints its address. Contents of files are in FOLDER.
"""

import signal
import sys

from tests.fakes import ScriptedEngine, live_server

if __name__ == "__main__":
    database, files = sys.argv[1:]
    with live_server(ScriptedEngine(pause=0.05), database=database, files=files) as server:
        print(server.url, flush=True)
        signal.pause()
