"""The scheduler and the nodes: what it hears of them."""
