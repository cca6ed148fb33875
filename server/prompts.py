"""Ready-made requests for the three main jobs; hosts show them as commands a person picks.

They only write the request: the model makes it with the tools, so each names the tools, what to
check in their results, and the step after.
"""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from pydantic import Field


def add_prompts(server: MCPServer[Any]) -> None:
    """Publish the prompts `product_variants`, `persona` and `diagram`."""

    @server.prompt(
        name="product_variants",
        title="Show a product in several colors",
        description="One product, the same shape in each color, with the measured difference.",
    )
    def product_variants(
        product: Annotated[
            str,
            Field(description="The product in words ('ceramic teapot'), or the image_id of it."),
        ],
        colors: Annotated[
            str, Field(description="Colors, separated by commas: 'sage, navy, #9CAF88'.")
        ],
        scene: Annotated[str, Field(description="Where it stands: 'white background'.")] = "",
    ) -> str:
        by_id = product.strip().startswith("img_")
        what = f"the product on the picture {product.strip()}" if by_id else product.strip()
        argument = "image_id" if by_id else "product"
        place = "" if by_id or not scene.strip() else f" Scene: {scene.strip()}."
        return (
            f"Show {what} in these colors: {colors.strip()}.{place}\n"
            f"Call create_product_variants once with {argument} and all colors. Then show me each "
            "variant with its caption, and say which color is more than delta E 2 away from what "
            "I asked for. If it refuses because the product does not stand out, tell me what it "
            "needs (a mask) instead of painting another product. Ask me which one I like; then "
            "put that one into the knowledge base with export_to_kb."
        )

    @server.prompt(
        name="persona",
        title="Make a face for a bot",
        description="A fictional persona whose face stays the same in every picture.",
    )
    def persona(
        name: Annotated[str, Field(description="The bot's name, or the persona_id of one.")],
        description: Annotated[
            str, Field(description="How it looks and what it does; fictional people only.")
        ] = "",
        expressions: Annotated[
            str, Field(description="Moods, separated by commas.")
        ] = "neutral, smiling, thinking",
    ) -> str:
        known = name.strip().startswith("per_")
        who = f"the persona {name.strip()}" if known else f"a bot named {name.strip()}"
        look = f" Look: {description.strip()}." if description.strip() and not known else ""
        first = (
            "Call create_persona_avatar with this persona_id"
            if known
            else "Call create_persona_avatar with name and description (invent a fitting look if I "
            "gave none), show me the picture and remember the persona_id. Then call it again with "
            "the persona_id"
        )
        return (
            f"Make avatars of {who}.{look} Expressions: {expressions.strip()}.\n"
            f"{first} for each expression. Show every picture with its alt text and tell me the "
            "persona_id, so that the same face can come back later."
        )

    @server.prompt(
        name="diagram",
        title="Draw a process",
        description="A diagram in which every word is legible, from a description of the steps.",
    )
    def diagram(
        process: Annotated[str, Field(description="What happens, step by step, in plain words.")],
        kind: Annotated[
            str, Field(description="flowchart, sequence, state, class, er, gantt or mindmap.")
        ] = "flowchart",
    ) -> str:
        return (
            f"Draw this as a {kind.strip()} diagram: {process.strip()}\n"
            "Write it as Mermaid text with short labels (at most four words each), decisions as "
            "questions with labeled answers, and call draw_diagram. If it reports a mistake with "
            "line and column, mend that line and call again. Then show the picture with its alt "
            "text, and check with me that no step is missing. Never paint text with "
            "generate_image."
        )
