"""Decisions teach the model: a light head at once, the whole network in a process of its own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
