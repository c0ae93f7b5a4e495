"""Several models measured side by side on the same prompts."""
