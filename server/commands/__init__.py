"""The commands of `agent-tools`, one noun per file."""
