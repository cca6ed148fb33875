"""The laid-out SVG made safe and ours: allow-listed, one font, labels inline.

Everything that is not on the lists below is dropped: scripts, foreignObject, images, links,
event handlers, remote references, at-rules. What is left fetches nothing and runs nothing.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from agent_tools.diagrams import fonts, routes
from agent_tools.diagrams.errors import DiagramError
from agent_tools.diagrams.theme import Theme

SVG = "http://www.w3.org/2000/svg"
_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_XML_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_LABEL = "foreignobject-label-"

_TAGS = frozenset(
    """svg g path rect circle ellipse line polygon polyline text tspan defs marker style
    linearGradient stop symbol use clipPath title desc""".split()  # noqa: SIM905
)
_ATTRIBUTES = frozenset(
    """id class style transform d x y x1 y1 x2 y2 dx dy cx cy r rx ry width height points viewBox
    preserveAspectRatio overflow offset fill fill-opacity fill-rule clip-rule stroke stroke-width
    stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin stroke-opacity stop-color
    stop-opacity opacity refX refY markerWidth markerHeight markerUnits orient marker-start
    marker-mid marker-end gradientUnits gradientTransform font-size font-weight font-style
    text-anchor dominant-baseline alignment-baseline transform-origin role aria-roledescription
    visibility display clip-path""".split()  # noqa: SIM905
)
_REFERRED = tuple(f"{{{SVG}}}{n}" for n in ("marker", "linearGradient", "symbol", "clipPath"))
_BAD_VALUE = re.compile(
    r"javascript|vbscript|data:|expression|@import|\\|url\(\s*['\"]?(?!#)", re.IGNORECASE
)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
# Fonts are ours; a shadow costs more pixels than it is worth.
_DROPPED_PROPERTIES = frozenset(("font-family", "filter", "cursor", "animation", "behavior"))
_DEFAULTS = frozenset(("clip-path:none", "mask:none", "transform:none"))
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)(?:px)?(\s*!important)?")
_MAX_STROKE = 8.0
MIN_FONT_SIZE = 13.0  # a picture in a chat bubble is shown at about half its width
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")

ElementTree.register_namespace("", SVG)


def sanitized(
    svg: str, theme: Theme, lines: Mapping[str, list[routes.Point]] = MappingProxyType({})
) -> Element:
    """Parse and allow-list an SVG; labels that hide behind `use` are put in place.

    Args:
        svg: as the renderer made it.
        theme: the palette.
        lines: layout points of edges by id, for `routes.follow_layout`.

    Raises:
        DiagramError: if it is not well-formed SVG, or carries a document type.
    """
    if "<!DOCTYPE" in svg or "<!ENTITY" in svg:
        raise DiagramError("The renderer produced an SVG with a document type.", hint="Simplify.")
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise DiagramError(
            f"The renderer produced a damaged SVG: {error}.", hint="Simplify the diagram."
        ) from None
    _inline_labels(root)
    routes.follow_layout(root, lines)
    _clean(root)
    _remove_unused(root)
    _let_texts_be_restyled(root)
    root.set("font-family", f"{fonts.FAMILY}, '{fonts.FALLBACK_FAMILY}', sans-serif")
    root.set("color", theme.group_border)
    root.attrib.pop("style", None)
    for label in root.iter(tag("g")):
        if has_class(label, "edgeLabel"):
            for chip in label.iter(tag("rect")):
                if chip.get("fill") != "none":
                    chip.set("rx", "4")
                    set_style(chip, fill=theme.paper)
    for marker in root.iter(tag("marker")):
        for shape in marker.iter():
            if shape.get("fill") == "white":
                shape.set("fill", theme.paper)
            if shape.get("stroke") in ("black", "#000000"):
                shape.set("stroke", theme.line)
            # The rasterizer draws nothing with a width in points inside a marker.
            if shape.get("stroke-width", "").endswith("pt"):
                shape.set("stroke-width", shape.get("stroke-width", "").removesuffix("pt"))
    return root


def to_text(root: Element) -> str:
    """Return the SVG as text; the same tree gives the same text."""
    return ElementTree.tostring(root, encoding="unicode")


def view_box(root: Element) -> tuple[float, float, float, float]:
    """Return (x, y, width, height) in user units."""
    x, y, width, height = (float(part) for part in root.get("viewBox", "0 0 100 100").split())
    return x, y, width, height


def set_view_box(root: Element, x: float, y: float, width: float, height: float) -> None:
    """Show this part of the drawing, at one pixel per unit."""
    root.set("viewBox", f"{x:.2f} {y:.2f} {width:.2f} {height:.2f}")
    root.set("width", f"{width:.2f}")
    root.set("height", f"{height:.2f}")


def texts(root: Element) -> list[Element]:
    """Return the text elements that say something, in drawing order."""
    return [e for e in root.iter(tag("text")) if "".join(e.itertext()).strip()]


def text_of(element: Element) -> str:
    """Return what a text element says, lines joined by spaces."""
    return " ".join(" ".join(element.itertext()).replace("\u2060", "").split())


def set_style(element: Element, **properties: str) -> None:
    """Set style properties on an element and what is inside it; nothing can override them."""
    for each in element.iter():
        style = dict(_declarations(each.get("style", "")))
        for name, value in properties.items():
            name = name.replace("_", "-")
            each.attrib.pop(name, None)
            style[name] = f"{value} !important"
        each.set("style", ";".join(f"{name}:{value}" for name, value in style.items()))


def tag(name: str) -> str:
    """Return an element name with the SVG namespace."""
    return f"{{{SVG}}}{name}"


def has_class(element: Element, name: str) -> bool:
    """Return whether an element belongs to a class."""
    return name in element.get("class", "").split()


def _inline_labels(root: Element) -> None:
    labels = {e.get("id"): e for e in root.iter(tag("g")) if _LABEL in e.get("id", "")}
    for parent in list(root.iter()):
        for index, child in enumerate(list(parent)):
            href = child.get("href") or child.get(_XLINK_HREF) or ""
            source = labels.get(href[1:])
            inner = source.find(tag("svg")) if source is not None else None
            if child.tag != tag("use") or inner is None:
                continue
            group = Element(tag("g"))
            x, y = (float(child.get(n, "0")) + float(inner.get(n, "0")) for n in ("x", "y"))
            if x or y:
                group.set("transform", f"translate({x:.4f},{y:.4f})")
            group.extend(copy.deepcopy(list(inner)))
            parent[index] = group
    for parent in list(root.iter(tag("defs"))):
        for child in list(parent):
            if child.get("id") in labels:
                parent.remove(child)


def _clean(element: Element) -> None:
    for child in list(element):
        name = child.tag.removeprefix(f"{{{SVG}}}") if isinstance(child.tag, str) else ""
        if name == "a":
            child.tag, name = tag("g"), "g"
        if child.tag != tag(name) or name not in _TAGS or (name == "defs" and len(child) == 0):
            element.remove(child)
        elif name == "style":
            child.text = _clean_css(child.text or "")
            child.attrib.clear()
        else:
            _clean(child)
    for name, value in list(element.attrib.items()):
        if name in ("href", _XLINK_HREF):
            keep = value.startswith("#")
        elif name == _XML_SPACE:
            keep = value == "preserve"
        else:
            keep = name in _ATTRIBUTES and not _BAD_VALUE.search(value)
        if not keep:
            del element.attrib[name]
        elif name == "d":
            element.set(name, _LONG_NUMBER.sub(lambda m: f"{float(m.group()):.2f}", value))
        elif name == "font-size":
            element.set(name, _readable(value))
        elif name == "style":
            pairs = [f"{k}:{v}" for k, v in _declarations(value)]
            element.set(name, ";".join(pair for pair in pairs if pair not in _DEFAULTS))


def _remove_unused(root: Element) -> None:
    """Drop markers, gradients and rules that nothing refers to: two thirds of the file."""
    used = {e.get("href", "")[1:] for e in root.iter()} | {
        name
        for e in root.iter()
        for value in e.attrib.values()
        for name in _REFERENCE.findall(value)
    }
    classes = {name for e in root.iter() for name in e.get("class", "").split()}
    for style in root.iter(tag("style")):
        used |= set(_REFERENCE.findall(style.text or ""))
        rules = []
        for selectors, body in _RULE.findall(style.text or ""):
            kept = [
                selector.strip()
                for selector in selectors.split(",")
                if set(re.findall(r"\.([\w-]+)", selector)) <= classes
            ]
            if kept:
                rules.append(f"{','.join(kept)}{{{body}}}")
        style.text = "".join(rules)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in _REFERRED and child.get("id") not in used:
                parent.remove(child)


def _let_texts_be_restyled(root: Element) -> None:
    """Take "!important" from rules for texts: the rasterizer lets them win over the element's own.

    A text that cannot be recolored can neither be found by its color nor be made legible.
    """
    inside = {part for text in root.iter(tag("text")) for part in text.iter()}
    ours = {name for part in inside for name in part.get("class", "").split()}
    others = {n for e in root.iter() if e not in inside for n in e.get("class", "").split()}
    for style in root.iter(tag("style")):

        def milder(rule: re.Match[str]) -> str:
            last = re.findall(r"\.([\w-]+)", rule[1].split()[-1])
            only_texts = last and set(last) <= ours and not set(last) & others
            body = rule[2].replace("!important", "") if only_texts else rule[2]
            return f"{rule[1]}{{{body}}}"

        style.text = _RULE.sub(milder, style.text or "")


def _clean_css(css: str) -> str:
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    css = re.sub(r"@[^{};]*(\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}|;)", "", css)
    rules = []
    for selector, body in _RULE.findall(css):
        if _BAD_VALUE.search(selector) or "<" in selector:
            continue
        kept = ";".join(f"{name}:{value}" for name, value in _declarations(body))
        if kept:
            rules.append(f"{selector.strip()}{{{kept}}}")
    return "".join(rules)


def _declarations(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(";"):
        name, colon, value = part.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name == "font-size":
            value = _readable(value)
        if name == "stroke-width" and (width := _LENGTH.fullmatch(value)):
            value = f"{min(float(width[1]), _MAX_STROKE):g}px{width[2] or ''}"
        # Slightly transparent text has less contrast than it seems; it is drawn in full.
        faded = name == "opacity" and re.match(r"0?\.[5-9]", value)
        if colon and value and name not in _DROPPED_PROPERTIES and not _BAD_VALUE.search(value):
            yield name, "1" if faded else value


def _readable(size: str) -> str:
    number = _LENGTH.fullmatch(size)
    small = number is not None and float(number[1]) < MIN_FONT_SIZE
    return f"{MIN_FONT_SIZE:g}px{number[2] or ''}" if number and small else size
