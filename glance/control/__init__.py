"""The rules of ``glance-control``: start, stop and watch the servers of one host (spec daemons-and-config.md §6).

Standard library only, so that it answers at once and works beside any installation:

* ``command_line``  what was asked, from the arguments and ``glance-control.conf``
* ``pid_file``      where the pid of a server is kept, and whether that process still is the server
* ``program``       where a server's program is, and how it is launched as a daemon
* ``commands``      what each command does and prints
"""
