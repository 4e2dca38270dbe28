"""Serves bundles: files full of utterances, on one machine or a Ray cluster."""
