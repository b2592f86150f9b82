"""The command line, as a person or a script uses it: in processes of its own."""
