"""The gateway's rules, pure: who may do what, what a request means, how live lines join stored ones."""
