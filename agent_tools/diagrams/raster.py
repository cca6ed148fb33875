"""SVG to pixels with resvg and the bundled fonts only."""

from __future__ import annotations

import io

from PIL import Image

from agent_tools.diagrams import fonts


def rasterize(
    svg: str, *, scale: float = 1.0, background: str | None = None, smooth: bool = True
) -> Image.Image:
    """Return `svg` as pixels, mode "RGBA".

    Args:
        svg: sanitized, with width and height in user units.
        scale: pixels per user unit.
        background: #rrggbb, or None for transparent.
        smooth: False draws without anti-aliasing, so that every pixel has one of the SVG's colors.
    """
    import resvg_py

    data = resvg_py.svg_to_bytes(
        svg_string=svg,
        background=background,
        zoom=scale,
        skip_system_fonts=True,
        font_files=[str(path) for path in fonts.FILES],
        font_family=fonts.FAMILY,
        serif_family=fonts.FAMILY,
        sans_serif_family=fonts.FAMILY,
        monospace_family=fonts.FAMILY,
        shape_rendering="geometric_precision" if smooth else "crisp_edges",
        text_rendering="optimize_legibility" if smooth else "optimize_speed",
    )
    image = Image.open(io.BytesIO(bytes(data)), formats=("PNG",))
    image.load()
    return image.convert("RGBA")


def laid_on(svg: str, under: Image.Image, *, scale: float = 1.0) -> Image.Image:
    """Return `svg` drawn on a picture, mode "RGB"; the picture is fitted to the drawing's size."""
    drawing = rasterize(svg, scale=scale)
    ground = under.resize(drawing.size, Image.Resampling.BICUBIC).convert("RGBA")
    return Image.alpha_composite(ground, drawing).convert("RGB")


def resvg_version() -> str:
    """Return the rasterizer's version, for recipes."""
    import resvg_py

    return str(resvg_py.__resvg_version__)
