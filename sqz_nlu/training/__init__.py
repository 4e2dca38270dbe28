"""From examples to a trained joint network."""
