"""Training of the classifier: `engine` trains any timm backbone, `benchmark` compares, `recipes` holds settings.

The bundle that this package ships is made by ``napari-aml train DATASET --config demo``.
"""
