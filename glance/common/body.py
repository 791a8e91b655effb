"""A response body that is a region of an open file.

Store drivers and the image cache return it; the server (``glance.wsgi.server``)
recognises it and uses sendfile.  Whoever else gets it (another WSGI server, a
middleware) iterates it like any other body.
"""

import os
from collections.abc import Iterator

from glance.common.offload import offload

BLOCK = 1024 * 1024


class FileBody:
    """``length`` bytes of the file descriptor ``fd`` from ``offset``; owns and closes ``fd``.

    :param fd: descriptor open for reading; positional reads only, so it has no state
    :param offset: first byte
    :param length: number of bytes; fewer are delivered if the file is truncated meanwhile
    """

    def __init__(self, fd: int, offset: int, length: int) -> None:
        self.fd = fd
        self.offset = offset
        self.length = length

    def __iter__(self) -> Iterator[bytes]:
        position, end = self.offset, self.offset + self.length
        while position < end:
            block = offload(os.pread, self.fd, min(BLOCK, end - position), position)
            if not block:
                return
            position += len(block)
            yield block

    def close(self) -> None:
        """Close the descriptor; safe to call again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
