"""The use cases: asking, deciding, lending, ending, emergencies. Each loads, asks the core once, and stores."""
