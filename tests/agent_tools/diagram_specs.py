"""Diagrams as agents really ask for them: one of every kind, large enough to go wrong."""

from __future__ import annotations

from agent_tools.diagrams.legibility import Label
from agent_tools.diagrams.render import Drawing

SPECS = {
    "flowchart": """flowchart LR
  subgraph client [Client apps]
    web[Web widget]
    mobile[Mobile app]
  end
  subgraph platform [Agent platform]
    gw{{MCP gateway}}
    agent[Agent loop]
    queue[(Job queue)]
  end
  subgraph store [Storage]
    kb[(Knowledge base)]
    gallery[(Gallery)]
  end
  web -->|HTTPS| gw
  mobile -->|HTTPS| gw
  gw --> agent
  agent -->|tool call| queue
  queue -.->|picture| agent
  queue ==> gallery
  gallery -->|export with captions| kb
  agent -->|search| kb
  gw --> decide{Allowed?}
  decide -->|no| stop([Refused])
  decide -->|yes| agent
""",
    "sequence": """sequenceDiagram
  autonumber
  actor U as Shopper
  participant B as Chatbot
  participant T as Tool server
  participant K as Knowledge base
  U->>B: Do you have this mug in sage?
  activate B
  B->>T: create_product_variants(color=sage)
  activate T
  loop each color
    T->>T: recolor and measure
  end
  T-->>B: image id, caption
  deactivate T
  alt picture is good
    B->>K: export
    K-->>B: stored
  else picture is doubtful
    B->>T: edit_image
  end
  Note over B,K: captions carry alt text
  B-->>U: Here it is
  deactivate B
""",
    "class": """classDiagram
  class Tool {
    <<interface>>
    +str name
    +str description
    +run(studio, arguments) ToolResult
  }
  class DrawDiagram {
    +run(studio, arguments) ToolResult
    -validate(source) bool
  }
  class Studio {
    +Gallery gallery
    +call(name, arguments) ToolResult
  }
  class Gallery {
    +add(image) ImageRecord
  }
  Tool <|.. DrawDiagram
  Studio "1" o-- "many" Tool : serves
  Studio *-- Gallery : owns
  DrawDiagram ..> Gallery : writes to
""",
    "state": """stateDiagram-v2
  [*] --> Queued
  Queued --> Running: slot free
  state Running {
    [*] --> Encoding
    Encoding --> Denoising
    Denoising --> Decoding
    Decoding --> [*]
  }
  state check <<choice>>
  Running --> check
  check --> Done: safe
  check --> Refused: unsafe
  Running --> Failed: out of memory
  Failed --> Queued: retry
  Done --> [*]
  note right of Failed: retried at most twice
""",
    "er": """erDiagram
  CUSTOMER ||--o{ ORDER : places
  ORDER ||--|{ LINE_ITEM : contains
  PRODUCT ||--o{ LINE_ITEM : "is ordered as"
  PRODUCT ||--o{ VARIANT : has
  VARIANT ||--o| IMAGE : shows
  CUSTOMER {
    int id PK
    string email UK
    string name
  }
  ORDER {
    int id PK
    int customer_id FK
    date placed_on
  }
  LINE_ITEM {
    int order_id FK
    int product_id FK
    int quantity
  }
  PRODUCT {
    int id PK
    string title
    decimal price
  }
  VARIANT {
    int id PK
    string color
  }
""",
    "gantt": """gantt
  title Launch of the autumn catalog
  dateFormat YYYY-MM-DD
  axisFormat %d %b
  section Pictures
    Briefing           :done, a1, 2026-09-01, 5d
    Product variants   :active, a2, after a1, 10d
    Review with brand  :crit, a3, after a2, 4d
  section Knowledge base
    Captions           :b1, after a1, 8d
    Export             :b2, after a3, 2d
    Go live            :milestone, m1, after b2, 0d
""",
    "pie": """pie showData title Pictures by tool
  "Product variants" : 412
  "Diagrams" : 180
  "Avatars" : 96
  "Edits" : 60
  "Other" : 12
""",
    "mindmap": """mindmap
  root((Shop bot))
    Pictures
      Variants
        Color
        Material
      Avatars
      Diagrams
    Knowledge
      Captions
      Search
    Channels
      Web
      WhatsApp
      Email
""",
    "timeline": """timeline
  title From idea to catalog
  section Spring
    March : First sketches : Supplier chosen
    April : Samples arrive
  section Summer
    June : Photo shoot : Variants painted
    July : Catalog printed
    August : Launch
""",
}


def label(drawing: Drawing, text: str) -> Label:
    """Return the label of a drawing that says `text`."""
    return next(found for found in drawing.labels if found.text == text)
