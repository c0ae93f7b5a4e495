"""musiczoo: a zoo of symbolic-music models on Lightning."""
