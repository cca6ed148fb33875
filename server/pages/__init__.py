"""The gallery in a browser: pages rendered here, readable without JavaScript, each also as JSON."""

from server.pages.routes import GalleryPages

__all__ = ["GalleryPages"]
