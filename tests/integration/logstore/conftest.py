from support.logstores import logstores, world
from support.nats import bus, nats_server
from support.postgres import database_url, own_postgres, postgres_server

__all__ = ["bus", "database_url", "logstores", "nats_server", "own_postgres", "postgres_server", "world"]
