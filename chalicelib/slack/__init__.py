"""Slack: what it is shown, and how it is told. Imported only where Slack is spoken to."""
