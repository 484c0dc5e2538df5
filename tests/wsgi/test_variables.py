#!/usr/bin/python3
"""prefork_wsgi.variables of the program, imported from its source: os.environ follows without the C library."""
import ctypes
import os
import unittest

from prefork_wsgi import variables


class Follow(unittest.TestCase):
    NAME = "PREFORK_TEST_FOLLOW"

    def setUp(self):
        for function in "putenv", "unsetenv":
            self.addCleanup(setattr, os, function, getattr(os, function))
            setattr(os, function, self.refuse)

    def refuse(self, *arguments):
        self.fail("the environment of C is not Python's to change here")

    def test_a_value_is_set_replaced_and_removed(self):
        for value in b"1", b"\xff2", None, None:
            variables.follow(self.NAME.encode(), value)
            self.assertEqual(os.environ.get(self.NAME), None if value is None else os.fsdecode(value))
            self.assertEqual(os.environb.get(self.NAME.encode()), value)
            self.assertEqual(self.NAME.encode() in variables.names(), value is not None)
            self.assertEqual(ctypes.CDLL(None).getenv(self.NAME.encode()), 0)

    def test_another_object_in_the_place_of_os_environ(self):
        self.addCleanup(setattr, os, "environ", os.environ)
        os.environ = {"A": "1"}
        variables.follow(b"B", b"\xff")
        variables.follow(b"A", None)
        self.assertEqual(os.environ, {"B": "\udcff"})
        self.assertEqual(variables.names(), [])


if __name__ == "__main__":
    unittest.main()
