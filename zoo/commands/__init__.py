"""The commands of ``musiczoo``, one file each."""
