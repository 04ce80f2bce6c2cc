"""What access means: values and functions of values. No AWS, no HTTP, no clock, no environment, no log."""
