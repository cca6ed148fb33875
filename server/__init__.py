"""The doors: MCP, LangChain-free HTTP pages, command line. They wire the rooms together."""
