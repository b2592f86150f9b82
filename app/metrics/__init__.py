"""What the operator's Prometheus reads of the service."""
