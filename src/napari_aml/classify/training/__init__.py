"""Training rooms of the classifier: cells on disk become a bundle.

:mod:`.data` lists and decodes the cells and groups near-duplicates, :mod:`.augment` varies them,
:mod:`.fit` trains (also by distillation), :mod:`.evaluate` counts with intervals, and :mod:`.demo` is the
command that made the bundle this package ships.
"""
