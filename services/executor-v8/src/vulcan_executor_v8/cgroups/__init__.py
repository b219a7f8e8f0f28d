"""Control groups, version 1 and 2, one interface: limits, usage and the causes of sudden deaths."""
