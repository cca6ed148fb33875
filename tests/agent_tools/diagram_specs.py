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
    "quadrant": """quadrantChart
  title Which pictures to make first
  x-axis Low effort --> High effort
  y-axis Low value --> High value
  quadrant-1 Plan
  quadrant-2 Do now
  quadrant-3 Later
  quadrant-4 Drop
  Product variants: [0.3, 0.85]
  Avatars: [0.2, 0.4]
  Diagrams: [0.55, 0.7]
  3D turntable: [0.9, 0.3]
""",
    "journey": """journey
  title Buying a mug
  section Find
    Ask the bot: 4: Shopper
    See variants: 5: Shopper, Bot
  section Buy
    Pay: 2: Shopper
    Receive: 5: Shopper, Courier
""",
    "git": """gitGraph
  commit id: "start"
  branch colors
  commit id: "navy"
  commit id: "sage"
  checkout main
  commit id: "hotfix" tag: "v1.1"
  merge colors id: "merged" tag: "v1.2"
  commit id: "docs"
""",
    "requirement": """requirementDiagram
  requirement exact_color {
    id: R1
    text: Color within two delta E
    risk: high
    verifymethod: test
  }
  element recolor {
    type: module
  }
  recolor - satisfies -> exact_color
""",
    "sankey": """sankey-beta
Visits,Chat,400
Visits,Search,300
Chat,Order,120
Search,Order,80
Chat,Leave,280
""",
    "xychart": """xychart-beta
  title "Pictures a month"
  x-axis [Jan, Feb, Mar, Apr]
  y-axis "Pictures" 0 --> 500
  bar [120, 210, 340, 430]
  line [100, 200, 320, 400]
""",
    "block": """block-beta
  columns 3
  a["Web"] b["Bot"] c["Store"]
  d["Gallery"]:3
  a --> b
  b --> c
""",
    "packet": """packet-beta
  0-15: "Source port"
  16-31: "Destination port"
  32-63: "Sequence number"
""",
    "kanban": """kanban
  todo[To do]
    a[Photo of the mug]
    b[Alt text]
  doing[Doing]
    c[Variants]
  done[Done]
    d[Briefing]
""",
    "radar": """radar-beta
  title Model comparison
  axis s["Speed"], q["Quality"], c["Cost"], m["Memory"]
  curve a["Starter"]{90, 40, 95, 90}
  curve b["Large"]{30, 95, 30, 20}
  max 100
""",
    "treemap": """treemap-beta
"Shop"
  "Mugs": 40
  "Lamps": 25
  "Chairs"
    "Wood": 20
    "Metal": 15
""",
}

# The same kinds as people really write them: deep, wide, crowded, with long or foreign words.
FURTHER = {
    "decisions": """flowchart TD
  start([Return wanted]) --> when{Within 30 days?}
  when -->|no| refuse([Refuse politely])
  when -->|yes| worn{Worn or damaged?}
  worn -->|worn| partial[Refund half]
  worn -->|damaged by us| full[Refund in full]
  worn -->|neither| full
  partial --> mail[Send label by e-mail]
  full --> mail
  mail --> done([Closed])
""",
    "nested groups": """flowchart TB
  subgraph cloud [Cloud region]
    subgraph edge [Edge network]
      cdn[CDN]
      waf[Firewall]
    end
    subgraph core [Core services]
      api[Public API]
      worker[[Worker]]
      db[(Orders)]
    end
  end
  shopper([Shopper]) --> cdn --> waf --> api
  api --> db
  api -.-> worker
  worker --> db
  worker --o mail>Mail provider]
""",
    "wide organization": """flowchart TB
  head[Head of commerce]
  head --> a[Catalog] & b[Marketing] & c[Support]
  a --> a1[Photography] & a2[Texts]
  b --> b1[Campaigns] & b2[Analytics]
  c --> c1[Chatbot team] & c2[Phone team]
""",
    "long labels": """flowchart LR
  one["A customer asks for the same mug in another color than the one in the photo"]
  two["The bot looks whether the color is in the knowledge base already"]
  three["Recolor exactly, measure the result and keep the proof with the picture"]
  one -->|"within one conversation, no waiting"| two
  two -->|"not there yet"| three
""",
    "many languages": """flowchart LR
  a["Größe wählen"] -->|weiter| b["Κατάστημα"]
  b -->|далее| c["Оплата заказа"]
  c -->|naprzód| d["Świeże żółte kubki"]
  d -->|avançar| e["Açaí & maçã ≥ 5 €"]
""",
    "parallel messages": """sequenceDiagram
  participant App
  participant Auth
  participant Store
  participant Painter
  App->>Auth: token?
  Auth-->>App: valid for 1 hour
  par picture
    App->>Painter: paint 4 drafts
  and facts
    App->>Store: read stock
  end
  opt stock is low
    Store-)App: reorder notice
  end
  critical pay
    App->>Store: charge
  option card refused
    Store--xApp: refused
  end
  Note left of App: retries twice
""",
    "shop classes": """classDiagram
  direction LR
  class Product {
    <<abstract>>
    +String sku
    +price() Money
  }
  class Mug {
    +int volume_ml
  }
  class Lamp {
    +bool dimmable
  }
  class Cart {
    -List~Product~ items
    +add(Product item) void
    +total() Money
  }
  Product <|-- Mug
  Product <|-- Lamp
  Cart "1" o-- "0..*" Product : holds
  Cart ..> Payment : pays through
""",
    "order states": """stateDiagram-v2
  direction TB
  [*] --> New
  New --> Paid : payment received
  New --> Canceled : 24 hours without payment
  Paid --> Packed
  Packed --> Shipped
  state Shipped {
    [*] --> OnTheWay
    OnTheWay --> AtTheDoor
    AtTheDoor --> OnTheWay : nobody home
    AtTheDoor --> [*]
  }
  Shipped --> Delivered
  Delivered --> Returned : within 30 days
  Delivered --> [*]
  Returned --> [*]
  Canceled --> [*]
""",
    "library tables": """erDiagram
  IMAGE ||--|| RECIPE : "is made by"
  IMAGE ||--o{ TAG : carries
  PERSONA ||--|{ IMAGE : "is shown in"
  IMAGE }o--o| IMAGE : "comes from"
  IMAGE {
    string image_id PK
    string caption
    int width
  }
  RECIPE {
    string sha256 PK
    string model
  }
""",
    "skills": """mindmap
  root((Support agent))
    Listen
      Mood
      Language
    Know
      Products
        Sizes
        Materials
      Policies
        Returns
        Warranty
    Act
      Show pictures
      Open ticket
""",
    "three days": """gantt
  dateFormat YYYY-MM-DD
  section Photos
    Set up   :a, 2026-09-01, 1d
    Shoot    :b, after a, 1d
    Edit     :c, after b, 1d
""",
    "three weeks": """gantt
  dateFormat YYYY-MM-DD
  section Plan
    Brief    :a, 2026-09-01, 5d
    Shoot    :b, after a, 5d
    Edit     :c, after b, 6d
    Publish  :d, after c, 5d
""",
    "one year": """gantt
  dateFormat YYYY-MM-DD
  section Shop
    Research :a, 2026-01-01, 90d
    Build    :b, after a, 120d
    Launch   :c, after b, 155d
""",
}


def label(drawing: Drawing, text: str) -> Label:
    """Return the label of a drawing that says `text`."""
    return next(found for found in drawing.labels if found.text == text)
