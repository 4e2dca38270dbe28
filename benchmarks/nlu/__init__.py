"""Pipelines of Rasa side by side: accuracy, calibration, training time, size and time of one message."""
