"""Who is asking: one module for each kind of proof."""
