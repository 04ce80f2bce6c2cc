"""The outbox: whatever committed is announced, from the table's stream, never from the request's path.

    table ──► stream ──► announce ──► EventBridge, every event; SNS, emergencies
                    ├──► post ──────► Slack, one message for a request and a place
                    └──► copy ──────► S3 under Object Lock, every event as it was first told

All read the same stream and never wait for each other. Each may be given a record twice, and say so little: events
carry their id, messages remember which version they show, and in the copy nothing is written twice.
"""
