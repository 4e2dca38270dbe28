"""Rasa's side: graph components around the runtime and the training."""
