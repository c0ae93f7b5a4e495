"""What a checkpoint is and where it comes from: the registry of names, and opening by name or path."""
