"""`rlhf submit, list, status, …`: what a person does with jobs on a cluster.

`register` joins the commands to `rlhf` through the entry-point group `rlhf.commands`. Each command
is one file; `cluster` is the only one that speaks to the API server.
"""
