"""The Images API door: what speaks OpenAI's protocol for pictures can paint here.

POST /v1/images/generations, /v1/images/edits and /v1/images/variations, GET /v1/models. See
docs/images-api.md.
"""

from server.images_api.routes import images_api_routes

__all__ = ["images_api_routes"]
