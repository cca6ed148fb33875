"""An agent that answers with text and the right picture, or with text alone.

A small shop's diagrams are drawn and exported once; then every question goes through the usual
LangChain loop: the model calls `search_kb`, reads the hits, and writes its answer. The model here
is a script, so that the example runs offline; any chat model that calls tools takes its place:

    answer(ChatOpenAI(model="..."), toolkit.get_tools(), question)

Run it with `python examples/answer_with_image.py`, or with a question of your own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from agent_tools import ImageToolkit, Settings

SYSTEM = (
    "Answer the customer. Call search_kb with the question first. If a hit fits, show it as a "
    "Markdown image with its alt text and put its caption below; if none does, write text only."
)
DIAGRAMS = {
    "How a return works": "flowchart LR\n a([You ask for a return]) --> b[We mail you a label]\n"
    " b --> c[Parcel comes back]\n c --> d([Money back in 3 days])",
    "Resetting a forgotten password": "flowchart LR\n a([Forgot password]) --> b[Enter email]\n"
    " b --> c[Open the link]\n c --> d([Set a new password])",
}
QUESTIONS = (
    "I want to send my order back. How do I get my money?",
    "I cannot log in any more, what are the steps?",
    "How tall is Mount Everest?",
)
_LONGEST_LOOP = 8


def answer(model: BaseChatModel, tools: Sequence[BaseTool], question: str) -> str:
    """Let the model call tools until it writes an answer, and return that.

    Raises:
        RuntimeError: if it still calls tools after eight turns.
    """
    by_name = {tool.name: tool for tool in tools}
    bound = model.bind_tools(tools)
    conversation: list[BaseMessage] = [SystemMessage(SYSTEM), HumanMessage(question)]
    for _ in range(_LONGEST_LOOP):
        said = bound.invoke(conversation)
        conversation.append(said)
        if not said.tool_calls:
            return str(said.text)
        conversation += [by_name[call["name"]].invoke(call) for call in said.tool_calls]
    raise RuntimeError("The model calls tools without end.")


class ScriptedModel(BaseChatModel):
    """Does what the system message says, word for word, without a language model."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **_: Any
    ) -> Runnable[Any, AIMessage]:
        """Take any tools; `search_kb` is the only one it calls."""
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        last = messages[-1]
        if isinstance(last, ToolMessage):
            said = AIMessage(_written(last.artifact["data"]["hits"]))
        else:
            call = {"name": "search_kb", "args": {"question": last.text, "limit": 1}, "id": "1"}
            said = AIMessage("", tool_calls=[{**call, "type": "tool_call"}])
        return ChatResult(generations=[ChatGeneration(message=said)])


def _written(hits: list[dict[str, Any]]) -> str:
    if not hits:
        return "I have no picture of that, and nothing about it in my handbook."
    (hit,) = hits
    return (
        f"Here is how it goes, step by step: {hit['title']}.\n\n"
        f"![{hit['alt']}]({hit['url'] or hit['uri']})\n\n{hit['caption']}"
    )


def stock(tools: Sequence[BaseTool]) -> None:
    """Draw the shop's diagrams and export them."""
    by_name = {tool.name: tool for tool in tools}
    for title, source in DIAGRAMS.items():
        by_name["draw_diagram"].invoke({"source": source, "title": title})
    by_name["export_to_kb"].invoke({})


def main() -> None:
    """Answer the questions on the command line, or three of the example's own."""
    with tempfile.TemporaryDirectory(prefix="answer-with-image-") as folder:
        settings = Settings(data=Path(folder), public_url="https://shop.example")
        with ImageToolkit(settings) as toolkit:
            tools = toolkit.get_tools()
            stock(tools)
            for question in sys.argv[1:] or QUESTIONS:
                print(json.dumps({"question": question}))
                print(answer(ScriptedModel(), tools, question), end="\n\n")


if __name__ == "__main__":
    main()
