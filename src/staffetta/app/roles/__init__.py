"""The roles of the service: what each process of it does."""
