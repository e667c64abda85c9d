"""What scores a completion: users' Python functions, and how their scores add up."""
