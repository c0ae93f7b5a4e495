"""``python -m musiczoo`` is the command ``musiczoo``."""

from musiczoo.cli import main

if __name__ == "__main__":
    main()
