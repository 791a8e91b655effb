"""Programs that break running daemons and look at what is left.  Not part of the test run."""
