"""The table behind os.environ, which variables.c changes without a call of setenv(3)."""
import os


def names():
    """The variables in it, bytes; none if the application has put another object in the place of os.environ."""
    return list(getattr(os.environ, "_data", ()))


def follow(name, value):
    """Set a variable to a value; None: remove it."""
    table = getattr(os.environ, "_data", None)
    if table is None:
        table, name, value = os.environ, os.fsdecode(name), None if value is None else os.fsdecode(value)
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value
