"""The Slack door: commands, buttons and forms. A thin door: it decides nothing and keeps nothing."""
