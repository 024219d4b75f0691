"""`python -m iiae`: the command line."""

from iiae.cli import main

if __name__ == "__main__":
    main()
