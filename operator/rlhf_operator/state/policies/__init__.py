"""One policy a file; `rlhf_operator.state.decide` asks them in order and takes the first answer.

| question                                        | file            |
|-------------------------------------------------|-----------------|
| what happens when a job is deleted              | deletion.py     |
| what a finished job keeps, and for how long     | cleanup.py      |
| what a job that is not valid gets               | validation.py   |
| what suspend does, in order                     | suspend.py      |
| which exit code or loss leads to which retry    | retry.py        |
| why a driver failed                             | cause.py        |
| what an attempt that ended leaves in the status | attempt_end.py  |
| when and where the next attempt begins          | next_attempt.py |
| how an attempt is stopped                       | stopping.py     |
| when an attempt must stop                       | suspend.py, deadline.py, startup.py, stall.py |
| what an attempt needs next                      | launch.py       |
"""
