"""Slack: a thin door for commands, buttons and forms, and what channels are told. It decides nothing, keeps nothing."""
