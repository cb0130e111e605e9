"""``python -m napari_aml.cli`` is ``napari-aml``."""

from napari_aml.cli.app import main

main()
