from support.nats import bus, nats_server

__all__ = ["bus", "nats_server"]
