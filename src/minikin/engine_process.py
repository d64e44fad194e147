"""The program of the engine's process: the engine, and the grammars that bind its answers."""

from __future__ import annotations


def main() -> None:
    """Serve the server's socket; see `engine.child`."""
    from minikin.constrain.masks import Masks
    from minikin.engine.child import serve

    serve(Masks)


if __name__ == "__main__":
    main()
