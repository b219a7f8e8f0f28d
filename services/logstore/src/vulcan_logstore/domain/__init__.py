"""Pure: what an event does to a row, what a line becomes, when it expires."""
