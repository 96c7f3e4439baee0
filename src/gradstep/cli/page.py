"""A page served to one's own browser, until Ctrl-C."""

import threading
import webbrowser
from collections.abc import Mapping

import typer

from gradstep.compare.server import Route, Server


def serve(routes: Mapping[str, Route], port: int, query: str = "", no_browser: bool = False) -> None:
    """Say where the page is, open a browser there unless that is not wanted, and answer it."""
    with Server(routes, port) as server:
        address = f"{server.address}?{query}" if query else server.address
        typer.echo(f"{address}\nOpen it in a browser; Ctrl-C ends it.")
        if not no_browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()  # some of them wait
        server.serve_forever()
