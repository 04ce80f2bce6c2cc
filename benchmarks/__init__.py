"""Speed and memory beside their targets: `make bench`. Figures of a shared machine: trust ratios of one run."""
