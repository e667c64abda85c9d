"""The status of a job after a step: build.py puts together what the other files say."""
