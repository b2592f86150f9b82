"""What breaks around the service, each under a steady load, and what must hold all the same: `make faults`."""
