"""The commands, one module each; `app` says which there are."""
