"""Names that two rooms agree on and neither may import from the other."""

PID_FILE_VARIABLE = "GLANCE_CONTROL_PID_FILE"
"""Environment variable in which glance-control tells a server where its pid file stands.

When the file is gone, or names another process, HUP asks the server to end when its
requests are done; otherwise HUP is a reload (spec daemons-and-config.md §4, §6).
"""
