"""`python -m iiae`: the command line."""

from iiae.commands.app import main

if __name__ == "__main__":
    main()
