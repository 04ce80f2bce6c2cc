"""The version, as `GET /v1/health` tells it."""

VERSION = "0.1.0"
