"""Where the prompts of rollouts and of preference rounds come from."""
