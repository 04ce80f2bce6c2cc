"""The outbox: whatever committed is announced, from the table's stream, never from the request's path.

    table ──► stream ──► announce ──► EventBridge, every event; SNS, emergencies
                    └──► post ──────► Slack, one message for a request and a place

Both read the same stream and never wait for each other. Both may be given a record twice, and say so little: events
carry their id, messages remember which version they show.
"""
