"""Looking into uploaded data while it passes by (spec v2-images.md §7 "Content inspection").

The parsers are those of oslo.utils.  Data is dangerous when a program that opens it on a
compute host would read other files of that host: a backing or data file, extents in a
descriptor.  Partition tables and encrypted containers name no other file, whatever the
library thinks of them, so they pass.
"""

import logging

from oslo_config import cfg
from oslo_utils.imageutils import format_inspector
from oslo_utils.imageutils.format_inspector import FileInspector, SafetyCheckFailed, SafetyViolation, VMDKInspector

from glance.common import exception
from glance.common.values import MAX_BIGINT

LOG = logging.getLogger(__name__)

HEAD = 1024 * 1024
"""Bytes at the start that tell every format; a VMDK descriptor that is the whole file ends there for qemu, too."""

_SECTOR = 512
_NAMES_FILES = frozenset(("qcow2", "qed", "vmdk"))
_GROWS = frozenset(("gpt", "luks"))
"""Formats whose disk is all the data, less a header."""


class Inspector:
    """What the data of one upload is, and whether it is dangerous.

    ``feed`` may run in a native thread; it keeps at most a few MiB, and nothing of what it
    is given once the format is known.  Only data in the container format ``bare`` is looked at.
    """

    def __init__(self, conf: cfg.ConfigOpts, disk_format: str | None, container_format: str | None) -> None:
        options = conf.image_format
        self._refuse: bool = options.refuse_unsafe_images
        self._require: bool = options.require_image_format_match
        self._vmdk_types = frozenset(name.lower() for name in options.vmdk_allowed_types)
        self._disk_format = disk_format
        self._bare = container_format == "bare"
        self._total = 0
        self._head: bytearray | None = bytearray()
        self._running: dict[str, FileInspector] = {}
        if self._bare:
            formats = format_inspector.ALL_FORMATS.items()
            self._running = {name: inspector() for name, inspector in formats if name != "raw"}
        self._found: dict[str, FileInspector] = {}
        self._vmdk_checked = False
        # The library logs what it parses: long lines chosen by the sender, through locks that are green under eventlet.
        logging.getLogger(format_inspector.__name__).disabled = True

    def feed(self, view: memoryview) -> None:
        """Look at the next bytes; no reference to them is kept.

        :raises UnsafeContent: they are known to be dangerous
        """
        self._total += len(view)
        if not self._running:
            return
        if self._head is not None:
            missing = HEAD - len(self._head)
            self._head += view[:missing]
            if len(self._head) < HEAD:
                return
            self._begin(bytes(self._head))
            view = view[missing:]
        for start in range(0, len(view), HEAD):
            self._eat(view[start : start + HEAD])

    def finish(self) -> int | None:
        """All data was fed; return the size of the disk in bytes, None if unknown.

        :raises UnsafeContent: the data is dangerous
        :raises FormatMismatch: it is not in the image's format, and that is required
        """
        if not self._bare:
            return None
        if self._head:
            self._begin(bytes(self._head))
        elif not self._total:
            self._running.clear()
        for name, inspector in self._running.items():
            inspector.finish()
            self._check(name, inspector)
            self._found[name] = inspector
        return self._verdict()

    def _begin(self, head: bytes) -> None:
        """Feed the start of the data, and forget every format that it is not."""
        self._head = None
        self._refuse_descriptor(head)
        # Programs read zeros behind the end of a short file.
        padded = head.ljust(_SECTOR, b"\0")
        for name, inspector in list(self._running.items()):
            matches = _eats(inspector, padded) and _matches(inspector)
            if name == "vmdk" and not matches and head.startswith(b"KDMV"):
                self._unsafe("its VMDK header cannot be checked")
            if not matches:
                del self._running[name]
        self._settle()

    def _eat(self, data: memoryview) -> None:
        for name, inspector in list(self._running.items()):
            if not _eats(inspector, data):
                if name in _NAMES_FILES:
                    self._unsafe(f"its {name} structure cannot be checked")
                del self._running[name]
        self._settle()

    def _settle(self) -> None:
        """Check what is complete; it needs no more data."""
        for name, inspector in list(self._running.items()):
            if inspector.complete:
                self._found[name] = self._running.pop(name)
                self._check(name, inspector)
            elif isinstance(inspector, VMDKInspector):  # its footer comes last
                self._check_vmdk(inspector)

    def _check(self, name: str, inspector: FileInspector) -> None:
        """:raises UnsafeContent: a program that opened this might read other files"""
        if not self._refuse or name not in _NAMES_FILES:
            return
        try:
            inspector.safety_check()
        except SafetyCheckFailed as error:
            self._unsafe("; ".join(f"{name}: {failure}" for failure in error.failures.values()))
        except Exception:
            self._unsafe(f"its {name} structure cannot be checked")
        if isinstance(inspector, VMDKInspector):
            self._check_vmdk(inspector)

    def _check_vmdk(self, vmdk: VMDKInspector) -> None:
        """What the library does not ask of a VMDK, and what is known before its footer comes.

        :raises UnsafeContent:
        """
        if not self._refuse or self._vmdk_checked or not vmdk.region("descriptor").complete:
            return
        self._vmdk_checked = True
        try:
            vmdk.check_descriptor()
        except SafetyViolation as error:
            self._unsafe(f"vmdk: {error}")
        except Exception:
            self._unsafe("its vmdk structure cannot be checked")
        if vmdk.vmdktype not in self._vmdk_types:
            self._unsafe("vmdk: its createType is not among those allowed")
        # A capacity of 0 tells qemu to take the descriptor's extents instead of the data here.
        if not any(vmdk.region("header").data[12:20]):
            self._unsafe("vmdk: its data lies in other files")

    def _refuse_descriptor(self, head: bytes) -> None:
        """A descriptor alone is nothing but names of other files.

        qemu takes any data without a magic number for one when it is told that it is a
        VMDK, and is less strict about its text than the library.

        :raises UnsafeContent:
        """
        declared = self._disk_format == "vmdk"
        if (declared or head[:_SECTOR].isascii()) and not head.startswith(b"KDMV") and b"createtype" in head.lower():
            self._unsafe("vmdk: its data lies in other files")

    def _unsafe(self, reason: str) -> None:
        """:raises UnsafeContent: unless the operator lets dangerous data in"""
        if self._refuse:
            self._running.clear()
            raise exception.UnsafeContent(reason=reason) from None

    def _verdict(self) -> int | None:
        """Compare what was found with what was declared; return the size of the disk, None if unknown.

        :raises FormatMismatch:
        """
        if self._disk_format == "raw":
            return self._total
        found = set(self._found)
        if "iso" in found:
            found.discard("gpt")  # so that it boots from a disk as well
        if found == {self._disk_format}:
            return self._virtual_size(found.pop())
        if not found and (not self._total or self._disk_format not in format_inspector.ALL_FORMATS):
            return None
        reason = f"it is declared as {self._disk_format}, and looks like {', '.join(sorted(found)) or 'nothing known'}"
        if self._require:
            raise exception.FormatMismatch(reason=reason)
        LOG.info("The format of uploaded data was not confirmed: %s", reason)
        return None

    def _virtual_size(self, name: str) -> int | None:
        inspector = self._found[name]
        try:
            size = inspector.virtual_size
        except Exception:  # a header made to mislead
            return None
        if name in _GROWS:
            size += self._total - inspector.actual_size
        return size if 0 < size <= MAX_BIGINT else None


def _eats(inspector: FileInspector, data: bytes | memoryview) -> bool:
    """Feed a parser; whether it could make sense of the data.  Hostile data makes it raise anything."""
    try:
        inspector.eat_chunk(data)  # type: ignore[arg-type]  # any buffer will do
    except Exception:
        return False
    return True


def _matches(inspector: FileInspector) -> bool:
    try:
        return inspector.format_match
    except Exception:
        return False
