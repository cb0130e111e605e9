"""The command line. `app` holds the commands on pictures; each other group of commands is a file of its own."""

from napari_aml.cli.app import app, main

__all__ = ["app", "main"]
