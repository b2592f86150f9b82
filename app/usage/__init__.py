"""What was used: facts by day, and how they get here."""
