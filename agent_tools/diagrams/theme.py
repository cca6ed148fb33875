"""Two palettes, light and dark, and how Mermaid is told about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ThemeName = Literal["light", "dark"]
GANTT_LEFT = 110  # where a gantt chart's first grid line is, in user units


@dataclass(frozen=True, slots=True)
class Theme:
    """Colors as #rrggbb.

    Attributes:
        paper: the canvas. ink: text. muted: secondary text. line: edges and arrows.
        fill, border: a node. group, group_border: a cluster.
        note, note_border: notes. accent: what is active; alarm: what is critical.
        series: fills for parts that follow one another (pie, mind map, timeline), all with
            enough contrast to `ink`; series_lines: their stronger partners.
    """

    name: ThemeName
    paper: str
    ink: str
    muted: str
    line: str
    fill: str
    border: str
    group: str
    group_border: str
    note: str
    note_border: str
    accent: str
    alarm: str
    alarm_border: str
    done: str
    series: tuple[str, ...]
    series_lines: tuple[str, ...]


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1e293b",
    muted="#475569",
    line="#64748b",
    fill="#eef2ff",
    border="#6366f1",
    group="#f8fafc",
    group_border="#cbd5e1",
    note="#fef9c3",
    note_border="#eab308",
    accent="#c7d2fe",
    alarm="#fecaca",
    alarm_border="#ef4444",
    done="#e2e8f0",
    series=(
        "#c7d2fe", "#a7f3d0", "#fde68a", "#fbcfe8", "#bae6fd", "#ddd6fe",
        "#fed7aa", "#d9f99d", "#99f6e4", "#fecdd3", "#e2e8f0", "#f5d0fe",
    ),
    series_lines=(
        "#6366f1", "#10b981", "#f59e0b", "#ec4899", "#0ea5e9", "#8b5cf6",
        "#f97316", "#84cc16", "#14b8a6", "#f43f5e", "#64748b", "#d946ef",
    ),
)  # fmt: skip

DARK = Theme(
    name="dark",
    paper="#0f172a",
    ink="#f1f5f9",
    muted="#cbd5e1",
    line="#94a3b8",
    fill="#1e1b4b",
    border="#818cf8",
    group="#172036",
    group_border="#475569",
    note="#3f3413",
    note_border="#ca8a04",
    accent="#3730a3",
    alarm="#7f1d1d",
    alarm_border="#f87171",
    done="#334155",
    series=(
        "#3730a3", "#065f46", "#78350f", "#831843", "#075985", "#4c1d95",
        "#7c2d12", "#3f6212", "#115e59", "#881337", "#334155", "#701a75",
    ),
    series_lines=(
        "#818cf8", "#34d399", "#fbbf24", "#f472b6", "#38bdf8", "#a78bfa",
        "#fb923c", "#a3e635", "#2dd4bf", "#fb7185", "#94a3b8", "#e879f9",
    ),
)  # fmt: skip

THEMES: dict[ThemeName, Theme] = {"light": LIGHT, "dark": DARK}


def site_config(theme: Theme, family: str) -> dict[str, Any]:
    """Return Mermaid's host configuration for a palette and a font family."""
    variables: dict[str, Any] = {
        "darkMode": theme.name == "dark",
        "fontFamily": family,
        "fontSize": "16px",
        "background": theme.paper,
        "primaryColor": theme.fill,
        "primaryTextColor": theme.ink,
        "primaryBorderColor": theme.border,
        "secondaryColor": theme.accent,
        "secondaryTextColor": theme.ink,
        "secondaryBorderColor": theme.border,
        "tertiaryColor": theme.group,
        "tertiaryTextColor": theme.ink,
        "tertiaryBorderColor": theme.group_border,
        "lineColor": theme.line,
        "arrowheadColor": theme.line,
        "textColor": theme.ink,
        "titleColor": theme.ink,
        "mainBkg": theme.fill,
        "nodeBorder": theme.border,
        "nodeTextColor": theme.ink,
        "clusterBkg": theme.group,
        "clusterBorder": theme.group_border,
        "defaultLinkColor": theme.line,
        "edgeLabelBackground": theme.paper,
        # sequence
        "actorBkg": theme.fill,
        "actorBorder": theme.border,
        "actorTextColor": theme.ink,
        "actorLineColor": theme.group_border,
        "signalColor": theme.line,
        "signalTextColor": theme.ink,
        "labelBoxBkgColor": theme.accent,
        "labelBoxBorderColor": theme.border,
        "labelTextColor": theme.ink,
        "loopTextColor": theme.muted,
        "noteBkgColor": theme.note,
        "noteBorderColor": theme.note_border,
        "noteTextColor": theme.ink,
        "activationBkgColor": theme.accent,
        "activationBorderColor": theme.border,
        "sequenceNumberColor": theme.paper,
        # class, state, ER
        "classText": theme.ink,
        "labelColor": theme.ink,
        "labelBackgroundColor": theme.paper,
        "compositeBackground": theme.group,
        "compositeTitleBackground": theme.fill,
        "compositeBorder": theme.border,
        "altBackground": theme.group,
        "transitionColor": theme.line,
        "transitionLabelColor": theme.ink,
        "stateLabelColor": theme.ink,
        "stateBkg": theme.fill,
        "innerEndBackground": theme.border,
        "specialStateColor": theme.border,
        "rowOdd": theme.paper,
        "rowEven": theme.group,
        "attributeBackgroundColorOdd": theme.paper,
        "attributeBackgroundColorEven": theme.group,
        # gantt
        "sectionBkgColor": theme.group,
        "altSectionBkgColor": theme.paper,
        "sectionBkgColor2": theme.group,
        "gridColor": theme.group_border,
        "taskBkgColor": theme.accent,
        "taskBorderColor": theme.border,
        "taskTextColor": theme.ink,
        "taskTextLightColor": theme.ink,
        "taskTextDarkColor": theme.ink,
        "taskTextOutsideColor": theme.ink,
        "activeTaskBkgColor": theme.series[1],
        "activeTaskBorderColor": theme.series_lines[1],
        "doneTaskBkgColor": theme.done,
        "doneTaskBorderColor": theme.line,
        "critBkgColor": theme.alarm,
        "critBorderColor": theme.alarm_border,
        "excludeBkgColor": theme.done,
        "todayLineColor": theme.alarm_border,
        # pie
        "pieStrokeColor": theme.paper,
        "pieStrokeWidth": "2px",
        "pieOuterStrokeColor": theme.paper,
        "pieOuterStrokeWidth": "0px",
        "pieOpacity": "1",
        "pieTitleTextSize": "22px",
        "pieTitleTextColor": theme.ink,
        "pieSectionTextColor": theme.ink,
        "pieLegendTextColor": theme.ink,
        # charts
        "xyChart": {"plotColorPalette": ",".join(theme.series_lines)},
        "quadrant1Fill": theme.fill,
        "quadrant2Fill": theme.group,
        "quadrant3Fill": theme.paper,
        "quadrant4Fill": theme.group,
        "quadrantPointFill": theme.border,
        "quadrantInternalBorderStrokeFill": theme.group_border,
        "quadrantExternalBorderStrokeFill": theme.border,
        "radar": {
            "axisColor": theme.line,
            "graticuleColor": theme.group_border,
            "graticuleOpacity": 0.3,
            "curveOpacity": 0.35,
        },
        "packet": {"blockFillColor": theme.fill, "blockStrokeColor": theme.border},
        "requirementBackground": theme.fill,
        "requirementBorderColor": theme.border,
        "requirementTextColor": theme.ink,
        "relationColor": theme.line,
        "relationLabelBackground": theme.paper,
        "relationLabelColor": theme.ink,
        "commitLabelColor": theme.ink,
        "commitLabelBackground": theme.fill,
        "tagLabelColor": theme.ink,
        "tagLabelBackground": theme.note,
        "tagLabelBorder": theme.note_border,
    }
    for index, (fill, line) in enumerate(zip(theme.series, theme.series_lines, strict=True)):
        variables[f"cScale{index}"] = fill
        variables[f"cScaleLabel{index}"] = theme.ink
        variables[f"cScaleInv{index}"] = line
        variables[f"cScalePeer{index}"] = line
        variables[f"pie{index + 1}"] = fill
        variables[f"fillType{index}"] = fill
        variables[f"gitBranchLabel{index}"] = theme.ink
        variables[f"git{index}"] = theme.accent if index == 0 else fill  # git0: a mind map's root
    return {
        "theme": "base",
        "look": "classic",
        "fontFamily": family,
        "themeVariables": variables,
        "flowchart": {"padding": 14, "wrappingWidth": 200, "nodeSpacing": 44, "rankSpacing": 54},
        "sequence": {"messageMargin": 44, "boxMargin": 12, "noteMargin": 12, "mirrorActors": False},
        "gantt": {"barHeight": 28, "barGap": 8, "fontSize": 14, "sectionFontSize": 14,
                  "topPadding": 56, "leftPadding": GANTT_LEFT},
        "timeline": {"leftMargin": 40},
        "packet": {"rowHeight": 40, "bitWidth": 26, "bitsPerRow": 32},
        "radar": {"width": 460, "height": 460, "marginTop": 20, "marginBottom": 30},
    }  # fmt: skip
