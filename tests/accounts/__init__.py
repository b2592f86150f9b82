"""Accounts, logins and sessions, as their users see them."""
