"""The use cases: asking, deciding, lending, ending. Each loads, asks the core once, and stores."""
