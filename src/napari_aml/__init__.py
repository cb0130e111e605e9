"""napari-aml: review blood smears of acute myeloid leukaemia. Research use only.

The public names are listed in ``__init__.pyi`` and load on first use; importing this package loads neither torch,
nor Qt, nor napari.
"""

import lazy_loader

__version__ = "0.1.0"

#: The sentence that every output carries (21 CFR 809.10(c)(2)(i)).
RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
