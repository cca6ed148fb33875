"""Diagrams from Mermaid text or a small graph: exact structure, exact words, no browser.

Mermaid text goes through `source` (taken in), `mermaid` (laid out), `svg` (sanitized), `finish`
(touched up), `legibility` (checked on pixels), `raster` (painted) and `describe` (put into words
from `facts`); `graph` compiles JSON to Mermaid; `worker` does it all in a process of its own.
"""

from __future__ import annotations
