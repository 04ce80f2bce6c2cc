"""What callers receive: the JSON of answers, as pydantic models."""
