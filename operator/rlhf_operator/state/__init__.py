"""Pure: what was observed of a job, what to do about it, and the status that says so.

observed.py            what a pass knows of the world
kubernetes_objects.py  raw objects of the API server -> observed.py
situation.py           the input of a decision: job, status, observed, time
decide.py              the order in which policies are asked
step.py                what a policy answers: acts, status changes, when to look again
policies/              one file for each question: retry, suspend, deletion, cleanup, ...
status/                the status after a step: conditions, progress, groups
"""
