"""A shop's chatbot talks with a customer from the first question to the order.

A LangGraph agent with the picture tools plays six turns: it introduces itself with a face, paints a
product in the colors asked for, recolors the customer's own photograph exactly, draws how a return
works, declines what the shop does not paint, and keeps the good pictures where the next chat finds
them. The model is a script, so that it runs offline; any chat model that calls tools takes its
place (`build_agent(ChatOpenAI(model="..."), tools)`).

    python examples/shop_dialogue.py [FOLDER]

writes FOLDER/index.html (shop-dialogue/ if left out) with the whole conversation and its pictures.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from shop_page import render

import agent_tools
from agent_tools import ImageToolkit, Settings, Studio

SYSTEM = (
    "You are Mina, who helps the customers of a small shop for tea and coffee. Show pictures, say "
    "what you measured, never promise what a tool refused, and keep what customers liked."
)
RETURNS = """flowchart LR
  start([You tell us]) --> label[We email a prepaid label]
  label --> parcel[Parcel comes back]
  parcel --> check{Undamaged?}
  check -- yes --> refund([Refund in 3 days])
  check -- no --> talk[We call you]
  talk --> refund
"""
POLICY = """
[[rules]]
id = "no-other-brands"
categories = ["brands"]
message = "This shop paints no brands and characters of others."
instead = "Describe a motif of your own, such as a cheerful mouse with a straw hat."
"""
Results = dict[str, dict[str, Any]]
Step = Callable[[Results], AIMessage]


def call(name: str, /, **arguments: Any) -> AIMessage:
    """Return what a model says that wants to call a tool."""
    return AIMessage(
        "", tool_calls=[{"type": "tool_call", "id": name, "name": name, "args": arguments}]
    )


def turns(photo_id: str, mask_id: str) -> list[tuple[str, list[Step]]]:
    """Return what the customer says, and what the model does after each.

    A step gets the newest result of every tool by name, and the error text of a failed one.
    """

    def measured(results: Results) -> str:
        (variant,) = results["create_product_variants"]["variants"]
        found = variant["measurements"]
        return (
            f"Here it is in sage. The color is {found['achieved_delta_e']:.1f} away from the "
            "swatch (below 2 the eye sees a match), and outside the cup not one byte of your "
            "photograph changed."
        )

    def in_colors(results: Results) -> str:
        made = results["create_product_variants"]["variants"]
        off = max(item["measurements"]["achieved_delta_e"] for item in made if item["measurements"])
        return (
            f"The same teapot in {', '.join(item['color'] for item in made)}. Shape and view stay, "
            f"so you can compare; the colors are at most {off:.1f} from their swatches."
        )

    def found_again(results: Results) -> str:
        hits = results["search_kb"]["hits"]
        return (
            f"Yes: {hits[0]['caption']} A customer chose it a minute ago."
            if hits
            else "Not yet, I am afraid."
        )

    return [
        (
            "Hello! Is somebody there?",
            [
                lambda _: call(
                    "create_persona_avatar",
                    name="Mina",
                    description="support agent with curly black hair, brown skin, glasses and a "
                    "teal hoodie",
                    expression="smiling",
                ),
                lambda _: AIMessage(
                    "Hi, I am Mina, the shop's assistant (a program, and so is my face). What are "
                    "you looking for?"
                ),
            ],
        ),
        (
            "A glossy teapot. Can I see it in sage, navy and purple?",
            [
                lambda _: call(
                    "create_product_variants",
                    product="glossy teapot",
                    scene="white background",
                    colors=["sage", "navy", "purple"],
                    seed=7,
                ),
                lambda results: AIMessage(in_colors(results)),
            ],
        ),
        (
            "Lovely. This is my own cup. What would it look like in that sage?",
            [
                lambda _: call(
                    "create_product_variants", image_id=photo_id, mask_id=mask_id, colors=["sage"]
                ),
                lambda results: AIMessage(measured(results)),
            ],
        ),
        (
            "Could you put Mickey Mouse on the teapot?",
            [
                lambda _: call("generate_image", prompt="a glossy teapot with Mickey Mouse on it"),
                lambda results: AIMessage(
                    "I cannot: " + results["generate_image"]["error"].split(". ")[0].lower() + ". "
                    "But I would gladly paint a cheerful mouse with a straw hat of your own."
                ),
            ],
        ),
        (
            "Never mind. And if I do not like it, how do I send it back?",
            [
                lambda _: call("draw_diagram", source=RETURNS, title="How a return works"),
                lambda _: AIMessage("Like this. You have 30 days, and the label costs nothing."),
            ],
        ),
        (
            "Then I take the sage one!",
            [
                lambda _: call("export_to_kb"),
                lambda results: AIMessage(
                    "Thank you! It is on its way. I also kept "
                    f"{results['export_to_kb']['exported_count']} pictures from our chat in the "
                    "shop's knowledge base, so that other customers find them."
                ),
            ],
        ),
        (
            "(Another customer, later) Do you have a pot for tea in a soft green?",
            [
                lambda _: call("search_kb", question="a pot for tea in a soft green", limit=1),
                lambda results: AIMessage(found_again(results)),
            ],
        ),
    ]


class ScriptedModel(BaseChatModel):
    """Plays its steps in order, each with the results of the tools so far."""

    steps: list[Any]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Runnable[Any, AIMessage]:
        """Take any tools; the script names those it calls."""
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        done = sum(isinstance(message, AIMessage) for message in messages)
        said = self.steps[done](results_of(messages))
        return ChatResult(generations=[ChatGeneration(message=said)])


def results_of(messages: Sequence[BaseMessage]) -> Results:
    """Return the newest result of every tool by name."""
    found: Results = {}
    for message in messages:
        if isinstance(message, ToolMessage) and message.name:
            failed = message.status == "error"
            found[message.name] = (
                {"error": message.text} if failed else (message.artifact or {})["data"]
            )
    return found


def build_agent(model: BaseChatModel, tools: Sequence[BaseTool]) -> Any:
    """Return a LangGraph agent that calls tools until it answers, and remembers the chat."""
    bound = model.bind_tools(tools)

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke([SystemMessage(SYSTEM), *state["messages"]])]}

    def next_node(state: MessagesState) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else END

    graph = StateGraph(MessagesState)
    graph.add_node("model", think)
    # The tools explain what went wrong to the model themselves.
    graph.add_node("tools", ToolNode(list(tools), handle_tool_errors=False))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", next_node, ["tools", END])
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=InMemorySaver())


def converse(
    agent: Any, said: Sequence[str], tell: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """Let the customer speak to the end of the chat and return its turns with their seconds."""
    chat, seen, turns_made = {"configurable": {"thread_id": "chat"}}, 0, []
    for text in said:
        started = time.monotonic()
        tell(f"Customer: {text}")
        messages = agent.invoke({"messages": [HumanMessage(text)]}, chat)["messages"]
        turns_made.append({"messages": messages[seen:], "seconds": time.monotonic() - started})
        seen = len(messages)
        tell(f"Mina:     {messages[-1].text}")
    return turns_made


def play(out: Path, settings: Settings) -> Path:
    """Play the dialogue and write the page; return its path."""
    assets = Path(agent_tools.__file__).parent / "assets"
    studio = Studio.open(settings)
    gallery, started = studio.gallery, time.monotonic()
    photo = gallery.add_upload((assets / "coffee-cup.png").read_bytes(), title="The customer's cup")
    mask = gallery.add_upload((assets / "coffee-cup-mask.png").read_bytes(), kind="mask")
    script = turns(photo.image_id, mask.image_id)
    try:
        with ImageToolkit(studio) as toolkit:
            model = ScriptedModel(steps=[step for _, steps in script for step in steps])
            agent = build_agent(model, toolkit.get_tools())
            made = converse(agent, [text for text, _ in script])
        pictures = out / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)
        for record in gallery.list(limit=200):
            shutil.copyfile(record.path, pictures / f"{record.image_id}.png")
        attached = {2: photo}
        page = out / "index.html"
        seconds = time.monotonic() - started
        page.write_text(render(made, gallery, attached, seconds), encoding="utf-8")
        return page
    finally:
        asyncio.run(studio.close())


def main() -> None:
    """Play the dialogue into the folder of the command line."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "shop-dialogue")
    with tempfile.TemporaryDirectory(prefix="shop-dialogue-") as folder:
        policy = Path(folder) / "policy.toml"
        policy.write_text(POLICY, encoding="utf-8")
        settings = Settings(data=Path(folder) / "data", policy=policy)
        print(f"\nOpen {play(out, settings)}")


if __name__ == "__main__":
    main()
