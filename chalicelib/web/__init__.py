"""The HTTP doors: one gate, one table of endpoints, one place that knows status codes."""
