"""The use cases: asking, deciding, lending, ending, sweeping. Each loads, asks the core once, and stores."""
