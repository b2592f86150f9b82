"""What does it come to? Totals from the roll-ups."""
