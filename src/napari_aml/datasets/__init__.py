"""Labelled pictures as one format: a manifest table plus pictures, whatever they came from."""
