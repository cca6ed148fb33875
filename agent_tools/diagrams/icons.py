"""Drawn icons for nodes: line art on a 24 x 24 grid, chosen by the words of a label.

Small models cannot paint a readable "database"; these are exact, in one style, and weigh nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

# Path data per icon, drawn with round strokes of width 1.8 and no fill.
ICONS: Mapping[str, str] = MappingProxyType(
    {
        "person": "M8 8a4 4 0 1 0 8 0a4 4 0 1 0 -8 0M4 21c0-5 4-7 8-7s8 2 8 7",
        "people": "M6 8a3 3 0 1 0 6 0a3 3 0 1 0 -6 0M2.5 20c0-4.5 3-6 6.5-6s6.5 1.5 6.5 6"
        "M15 5.2a3 3 0 0 1 0 5.6M17.5 14.5c2.5.7 4 2.5 4 5.5",
        "robot": "M5 9h14v10h-14zM12 9v-4M11 4a1 1 0 1 0 2 0a1 1 0 1 0 -2 0M9 13v1.5M15 13v1.5"
        "M9.5 16.5h5M2.5 12v4M21.5 12v4",
        "brain": "M12 5a3 3 0 0 0 -5.5 1.5a3.5 3.5 0 0 0 -1.5 6a3.5 3.5 0 0 0 3 5.5"
        "a3 3 0 0 0 4 1zM12 5a3 3 0 0 1 5.5 1.5a3.5 3.5 0 0 1 1.5 6a3.5 3.5 0 0 1 -3 5.5"
        "a3 3 0 0 1 -4 1z",
        "chat": "M4 5h16v11h-9l-4 4v-4h-3zM8 9h8M8 12h5",
        "mail": "M3 6h18v12h-18zM3 7l9 7l9 -7",
        "phone": "M7 3h10v18h-10zM10.5 18h3",
        "browser": "M3 5h18v14h-18zM3 9h18M6 7h.01M8.5 7h.01",
        "globe": "M3 12a9 9 0 1 0 18 0a9 9 0 1 0 -18 0M3 12h18M12 3c5 5 5 13 0 18"
        "c-5 -5 -5 -13 0 -18",
        "cloud": "M7 18a4 4 0 0 1 -.5 -8a5.5 5.5 0 0 1 10.5 -1.2a4.6 4.6 0 0 1 .5 9.2z",
        "database": "M5 6c0-4 14-4 14 0c0 4-14 4-14 0v12c0 4 14 4 14 0v-12M5 12c0 4 14 4 14 0",
        "server": "M4 4h16v6h-16zM4 14h16v6h-16zM7.5 7h.01M7.5 17h.01M11 7h6M11 17h6",
        "gateway": "M4 21v-11a8 8 0 0 1 16 0v11M9 21v-10a3 3 0 0 1 6 0v10M2 21h20",
        "queue": "M3 7h4v10h-4zM10 7h4v10h-4zM17 7h4v10h-4z",
        "disk": "M4 4h12l4 4v12h-16zM8 4v5h7v-5M8 20v-6h8v6",
        "folder": "M3 6h7l2 3h9v10h-18z",
        "document": "M6 3h8l4 4v14h-12zM14 3v4h4M9 12h6M9 16h6",
        "book": "M4 5c4 -1 6 0 8 2c2 -2 4 -3 8 -2v14c-4 -1 -6 0 -8 2c-2 -2 -4 -3 -8 -2zM12 7v14",
        "image": "M3 5h18v14h-18zM7 10a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0 -3 0M3 17l5 -4l3 2l5 -5l5 5",
        "palette": "M12 3a9 9 0 1 0 1 18c2 0 1 -3 2 -4c1 -1 6 1 6 -5a9 9 0 0 0 -9 -9M7.5 11h.01"
        "M11 7h.01M16 8.5h.01M8 15.5h.01",
        "camera": "M3 7h4l2 -3h6l2 3h4v12h-18zM8 13a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
        "search": "M4 10.5a6.5 6.5 0 1 0 13 0a6.5 6.5 0 1 0 -13 0M15.5 15.5l5.5 5.5",
        "gear": "M9.5 12a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0M5.5 12a6.5 6.5 0 1 0 13 0"
        "a6.5 6.5 0 1 0 -13 0"
        "M12 2.5v3M12 18.5v3M2.5 12h3M18.5 12h3M5.3 5.3l2.1 2.1M16.6 16.6l2.1 2.1M5.3 18.7l2.1 -2.1"
        "M16.6 7.4l2.1 -2.1",
        "tool": "M14 7a4.5 4.5 0 0 1 6 -3.5l-3 3l1 2l2 1l2 -2.5a4.5 4.5 0 0 1 -6 5.5l-8.5 8.5"
        "a2 2 0 0 1 -3 -3z",
        "code": "M8 7l-5 5l5 5M16 7l5 5l-5 5M13.5 5l-3 14",
        "lock": "M5 11h14v10h-14zM8 11v-4a4 4 0 0 1 8 0v4M12 15v2",
        "key": "M3 15a4 4 0 1 0 8 0a4 4 0 1 0 -8 0M10 12.5l9 -9M15.5 7l3 3",
        "shield": "M12 3l8 3v6c0 5 -4 8 -8 9c-4 -1 -8 -4 -8 -9v-6zM8.5 12l2.5 2.5l4.5 -4.5",
        "cart": "M2 4h3l3 12h10l3 -9h-15M8 20a1 1 0 1 0 2 0a1 1 0 1 0 -2 0M16 20a1 1 0 1 0 2 0"
        "a1 1 0 1 0 -2 0",
        "card": "M3 6h18v12h-18zM3 10h18M6.5 14.5h4",
        "truck": "M2 6h12v11h-12zM14 10h4l4 4v3h-8M5 18a2 2 0 1 0 4 0a2 2 0 1 0 -4 0M16 18"
        "a2 2 0 1 0 4 0a2 2 0 1 0 -4 0",
        "package": "M12 3l8 4.5v9l-8 4.5l-8 -4.5v-9zM4 7.5l8 4.5l8 -4.5M12 12v9",
        "shop": "M4 10v11h16v-11M2.5 10l2.5 -6h14l2.5 6zM9.5 21v-6h5v6",
        "factory": "M3 21v-12l6 4v-4l6 4v-10h6v18zM7 17h.01M12 17h.01M17 17h.01",
        "tag": "M3 3h9l9 9l-9 9l-9 -9zM7.5 7.5h.01",
        "chart": "M4 3v18h17M8 17v-5M12.5 17v-9M17 17v-12",
        "calendar": "M4 5h16v16h-16zM4 10h16M8 3v4M16 3v4M8 14h.01M12 14h.01M16 14h.01M8 17.5h.01",
        "clock": "M3 12a9 9 0 1 0 18 0a9 9 0 1 0 -18 0M12 7v5l3.5 2.5",
        "bell": "M5 18c2 -2 1.5 -5 2 -8c.5 -3 2.5 -5 5 -5s4.5 2 5 5c.5 3 0 6 2 8zM10 21h4M12 3v2",
        "question": "M3 12a9 9 0 1 0 18 0a9 9 0 1 0 -18 0M9.5 9.5a2.5 2.5 0 1 1 3.5 2.5"
        "c-.7.4 -1 .8 -1 2M12 17h.01",
        "check": "M3 12a9 9 0 1 0 18 0a9 9 0 1 0 -18 0M8 12.5l3 3l5.5 -6",
        "cross": "M3 12a9 9 0 1 0 18 0a9 9 0 1 0 -18 0M8.5 8.5l7 7M15.5 8.5l-7 7",
        "warning": "M12 4l10 17h-20zM12 10v5M12 18h.01",
        "flag": "M5 21v-17c5 -3 8 3 14 0v10c-6 3 -9 -3 -14 0",
        "play": "M3 12a9 9 0 1 0 18 0a9 9 0 1 0 -18 0M10 8.5l5.5 3.5l-5.5 3.5z",
        "star": "M12 3l2.8 5.8l6.2.9l-4.5 4.4l1 6.2l-5.5 -3l-5.5 3l1 -6.2l-4.5 -4.4l6.2 -.9z",
        "heart": "M12 20c-13 -8 -8 -16 -4 -16c2 0 3.5 1.5 4 3c.5 -1.5 2 -3 4 -3c4 0 9 8 -4 16",
        "bulb": "M9 18c0 -3 -3 -4 -3 -8a6 6 0 0 1 12 0c0 4 -3 5 -3 8zM9.5 21h5",
        "refresh": "M20 11a8 8 0 0 0 -14.5 -3.5l-2 2M3.5 4.5v5h5M4 13a8 8 0 0 0 14.5 3.5l2 -2"
        "M20.5 19.5v-5h-5",
        "mug": "M4 7h12v10a3 3 0 0 1 -3 3h-6a3 3 0 0 1 -3 -3zM16 9h2a3 3 0 0 1 0 6h-2M8 2v2M12 2v2",
        "layers": "M12 3l9 5l-9 5l-9 -5zM3 12l9 5l9 -5M3 16l9 5l9 -5",
        "network": "M12 3.5a2 2 0 1 0 .01 0M5 17a2 2 0 1 0 .01 0M19 17a2 2 0 1 0 .01 0"
        "M11 7.5l-5 9.5"
        "M13 7.5l5 9.5M7 19h10",
        "cube": "M5 5h14v14h-14zM9 9h6v6h-6z",
    }
)  # fmt: skip

# First match wins, so the more telling words come first.
_WORDS: tuple[tuple[str, str], ...] = (
    ("refuse|refused|reject|rejected|deny|denied|cancel|cancell?ed|abort|fail|failed|failure|block"
     "|blocked|lost", "cross"),
    ("error|alert|alarm|warn|warning|incident|risk", "warning"),
    ("data ?base|db|sql|sqlite|postgres|mysql|index|vector store|warehouse|table", "database"),
    ("knowledge( base)?|kb|wiki|manual|docs|handbook|faq|learn|lesson|course|book", "book"),
    ("queue|backlog|buffer|kafka|stream", "queue"),
    ("gateway|ingress|proxy|load balancer|router|door|firewall", "gateway"),
    ("llm|(language )?model|brain|think|reason|reasoning|plan|planner|embedding|encoder", "brain"),
    ("bot|chatbot|agent|assistant|robot|ai|machine", "robot"),
    ("auth|login|log in|sign ?in|password|secret|private|encrypt|permission|allowed", "lock"),
    ("token|key|license|credential", "key"),
    ("policy|security|safe|safety|guard|gate|moderation|compliance|insurance|warranty", "shield"),
    ("search|find|retriev(e|al|er)|lookup|look up|query|discover|inspect|research", "search"),
    ("image|picture|photo|thumbnail|gallery|banner|screenshot", "image"),
    ("camera|shoot|scan|scanner|capture", "camera"),
    ("color|colour|recolor|paint|painter|design|variant|variants|style|brand|theme", "palette"),
    ("cart|basket|checkout|buy|purchase", "cart"),
    ("pay|paid|payment|invoice|bill|billing|card|price|refund|money|charge|bank"
     "|credit|voucher|gift card|wallet", "card"),
    ("ship|shipped|shipping|deliver|delivered|delivery|courier|truck|transport|logistics|driver",
     "truck"),
    ("order|orders|package|parcel|pack|packing|product|item|goods|stock|inventory|box|return",
     "package"),
    ("shop|(our|your|online|web|retail|local|nearest) store|in[- ]store"
     "|store (front|hour|locator|pick ?up|visit)|market|marketplace|retail|seller"
     "|merchant|catalog|catalogue", "shop"),
    ("factory|supplier|manufactur(e|er|ing)|production|plant|build", "factory"),
    ("mug|cup|coffee|tea|drink", "mug"),
    ("tag|label|sku|category|coupon|discount|promotion", "tag"),
    ("team|people|users|customers|group|community|staff|shoppers|editors|audience", "people"),
    ("user|customer|shopper|person|client|buyer|visitor|actor|admin|manager|owner|author|reviewer"
     "|human|operator|support|patient|student|employee|editor|sales", "person"),
    ("mobile|phone|app|android|ios|whatsapp|sms|call", "phone"),
    ("mail|email|letter|newsletter|inbox|message|send", "mail"),
    ("chat|talk|ask|answer|reply|conversation|comment|feedback|review|slack",
     "chat"),
    ("web|website|browser|page|widget|frontend|front end|ui|dashboard|portal|site", "browser"),
    ("internet|dns|cdn|world|domain|region|language|translate|translation", "globe"),
    ("cloud|aws|azure|gcp|saas", "cloud"),
    ("cache|s3|bucket|storage|store|disk|archive|archived|backup|save|saved|object store", "disk"),
    ("folder|file system|directory|collection|files", "folder"),
    ("server|host|backend|back end|worker|node|cluster|gpu|cpu|container|kubernetes", "server"),
    ("file|document|report|form|contract|text|caption|captions|draft|record|log|pdf|article|note",
     "document"),
    ("code|api|sdk|script|function|deploy|commit|repository|merge|compile|parser|parse", "code"),
    ("tool|tools|fix|repair|maintain|maintenance|edit", "tool"),
    ("chart|metric|metrics|analytic|analytics|measure|monitor|statistics|kpi|revenue|score",
     "chart"),
    ("calendar|schedule|date|event|booking|appointment|week|month|meeting", "calendar"),
    ("time|timer|wait|waiting|timeout|clock|cron|delay|pending|queued|hour", "clock"),
    ("notify|notification|bell|remind|reminder|subscribe|webhook", "bell"),
    ("retry|refresh|sync|repeat|loop|update|again|renew|recycle|restart", "refresh"),
    ("start|begin|run|running|play|launch|trigger|go live|live", "play"),
    ("goal|finish|end|milestone|target|release|publish|published", "flag"),
    ("idea|insight|innovation|brainstorm|concept|sketch", "bulb"),
    ("like|love|favorite|health|care|happy", "heart"),
    ("rating|star|premium|quality|best|vip", "star"),
    ("process|processing|engine|service|job|task|compute|config|settings|system|scheduler|render"
     "|convert|transform|prepare|validate|filter|pipeline|step|work", "gear"),
    ("layer|stack|level|tier|platform", "layers"),
    ("network|graph|mesh|topology|bus|broker|hub|connect|connection|integration", "network"),
    ("done|ok|yes|success|approve|approved|accept|accepted|complete|completed|pass|passed|ready"
     "|confirm|confirmed|check", "check"),
)  # fmt: skip
_PATTERNS = tuple(
    (re.compile(rf"\b(?:{words})s?\b", re.IGNORECASE), name) for words, name in _WORDS
)
_BY_SHAPE = {
    "diamond": "question",
    "question": "question",
    "cylinder": "database",
    "stadium": "flag",
    "hexagon": "gear",
}
GENERIC = "cube"


def icon_for(label: str, shape: str = "") -> str:
    """Return the name of the icon that suits a label, else its shape, else `GENERIC`."""
    if shape in ("diamond", "question") or label.rstrip().endswith("?"):
        return "question"
    for pattern, name in _PATTERNS:
        if pattern.search(label):
            return name
    return _BY_SHAPE.get(shape, GENERIC)
