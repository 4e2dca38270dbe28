"""From torch weights to a verified bundle."""
