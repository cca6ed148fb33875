"""The model inside: what it can draw, how its pictures are rendered, trained and judged."""
