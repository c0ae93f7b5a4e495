"""Groups of rollouts during one fit: sample, score, take a policy-gradient step."""
