"""The part of prefork-wsgi that is written in Python; its modules are in the program itself (python_modules.c)."""
