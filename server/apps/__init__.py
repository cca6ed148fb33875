"""MCP Apps: views that hosts show inside the chat."""
