"""Everything that talks to AWS: the only place where clients, tables and AWS's error codes are known."""
