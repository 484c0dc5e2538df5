#!/usr/bin/python3
"""prefork_wsgi.config_file of the program, imported from its source: the time limit of hooks and files."""
import os
import signal
import sys
import types
import unittest

sys.modules["_prefork_wsgi_table"] = types.SimpleNamespace(rows=lambda: [], is_harmless=None)  # is in the program

from prefork_wsgi import config_file


class Limits(unittest.TestCase):
    def setUp(self):
        self.fork, self.expires_late = os.fork, 0
        self.addCleanup(setattr, config_file, "signal", signal)
        self.addCleanup(setattr, os, "fork", os.fork)
        self.addCleanup(signal.signal, signal.SIGALRM, signal.SIG_DFL)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        names = {name: getattr(signal, name) for name in ("signal", "SIGALRM", "SIG_DFL", "ITIMER_REAL")}
        config_file.signal = types.SimpleNamespace(**names, setitimer=self.setitimer)

    def setitimer(self, which, seconds, interval=0):
        if seconds == 0 and self.expires_late > 0:  # as if the signal had arrived a moment before
            self.expires_late -= 1
            raise config_file.TimeExpired("late")
        return signal.setitimer(which, seconds, interval)

    def check_end(self):
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0, 0))
        self.assertEqual(signal.getsignal(signal.SIGALRM), signal.SIG_DFL)
        self.assertIs(os.fork, self.fork)

    def test_a_function_in_time(self):
        self.assertEqual(config_file.Limit(100).call(int, "7"), 7)
        self.check_end()

    def test_a_function_that_takes_too_long(self):
        with self.assertRaises(config_file.TimeExpired):
            config_file.Limit(0.01).call(signal.pause)
        self.check_end()

    def test_time_that_expires_while_the_limit_ends(self):
        self.expires_late = 1
        with self.assertRaises(config_file.TimeExpired):
            config_file.Limit(100).call(int, "7")
        self.check_end()

    def test_no_limit(self):
        self.assertEqual(config_file.Limit(0).call(int, "7"), 7)
        self.check_end()


if __name__ == "__main__":
    unittest.main()
