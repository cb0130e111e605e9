"""An expression file becomes a subtype call. Knows nothing of pictures."""
