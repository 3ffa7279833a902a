"""Many answers drawn instead of one greedy one."""
