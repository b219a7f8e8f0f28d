"""The one way out of a jail: an HTTP proxy on a Unix socket, which asks the run's policy about every destination."""
