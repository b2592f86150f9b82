"""What happened to an account, for its owner to read."""
