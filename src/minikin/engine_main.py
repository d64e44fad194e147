"""The program of the engine process. It connects the engine and the grammars."""

from __future__ import annotations

import os
import signal
import sys

from minikin.engine.host.channel import LoadFailed, frame


def main() -> None:
    """Serve the socket of the server. See `engine.host.worker`."""
    # Only the server decides when to end. This is before the imports, because they take seconds.
    for interrupt in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupt, signal.SIG_IGN)
    try:
        from minikin.constrain.masks import Masks
        from minikin.engine.host.worker import serve
    except Exception as error:  # a broken installation, the same at every start
        reason = f"Cannot start the engine: {type(error).__name__}: {error}".splitlines()[0]
        os.write(int(sys.argv[1]), frame(LoadFailed(reason)))
        return
    serve(Masks)


if __name__ == "__main__":
    main()
