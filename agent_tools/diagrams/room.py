"""The agreement between illustration and layout: which labels need room for a picture, how much."""

from __future__ import annotations

MARK = "\ue000"  # private use: no font writes it and no caller's text may hold it
GAP = 8.0  # user units between a picture and the words below it
LINE_HEIGHT = 24.0  # of a node's label
