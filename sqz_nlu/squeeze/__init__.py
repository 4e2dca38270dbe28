"""Turns a BERT checkpoint into a SqueezeBERT by conversion and distillation."""
