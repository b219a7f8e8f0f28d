"""The only place with SQL and asyncpg."""
