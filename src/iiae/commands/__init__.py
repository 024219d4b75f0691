"""The command line: one file per subject, one function per command.

A parameter of such a function is an option that its user sees, however many there are; its body is
one call into a room below. Torch is imported when a command runs, not for --help.
"""
