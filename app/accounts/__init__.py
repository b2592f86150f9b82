"""Who may use the service: accounts, passwords, sessions."""
