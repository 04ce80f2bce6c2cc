"""The use cases: asking, deciding, lending, ending, emergencies, sweeping. Each loads, asks the core, and stores."""
