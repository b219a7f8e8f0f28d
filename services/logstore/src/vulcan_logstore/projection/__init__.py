"""From the streams into the tables: the loops around the pure and the SQL parts."""
