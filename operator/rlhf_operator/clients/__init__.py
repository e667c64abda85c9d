"""The only I/O of the operator: the API server, Ray's Jobs REST API, the driver's progress."""
