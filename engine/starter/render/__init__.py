"""The pictures the starter model learns from: rendered here, from nothing, fully labelled."""
