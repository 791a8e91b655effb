"""What is recognised in uploaded data, what is refused; no data breaks the inspection (spec v2-images.md §7)."""

import contextlib
import logging
import mmap
import shutil
import struct
import subprocess
import tracemalloc
import uuid
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glance.common import exception
from glance.images.inspection import HEAD, Inspector

MIB = 1024 * 1024
GIB = 1024 * MIB
MAX_BIGINT = 2**63 - 1
TYPES = ["streamOptimized", "monolithicSparse"]
DESCRIPTOR = '# Disk DescriptorFile\nversion=1\nCID=12345678\ncreateType="{kind}"\n{extents}\nddb.adapterType = "ide"\n'


# --- images ----------------------------------------------------------------------------


def qcow2(size=GIB, backing=0, features=0, version=3, length=65536):
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 9 if backing else 0, 16, size)
    return (header.ljust(0x48, b"\0") + struct.pack(">Q", features)).ljust(length, b"\0")


def vmdk(kind="monolithicSparse", extents='RW 2048 SPARSE "disk.vmdk"', sectors=2048, footer=None, text=None, **header):
    """:param footer: bytes at the end; its place is announced in the header"""
    fields = {"version": 3, "offset": 1, "count": 20} | header
    start = struct.pack(
        "<4sIIQQQQIQQ", b"KDMV", fields["version"], 3, sectors, 128, fields["offset"], fields["count"], 512, 21,
        26 if footer is None else 2**64 - 1,
    )  # fmt: skip
    text = DESCRIPTOR.format(kind=kind, extents=extents).encode() if text is None else text
    return (start.ljust(512, b"\0") + text).ljust(MIB + 4096, b"\0") + (footer or b"")


def vmdk_footer(offset=1):
    marker = struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
    header = struct.pack("<4sIIQQQQIQQ", b"KDMV", 3, 3, 2048, 128, offset, 20, 512, 21, 26).ljust(512, b"\0")
    return marker + header + bytes(512)


def vhd(size=GIB):
    return (b"conectix".ljust(40, b"\0") + struct.pack(">Q", size)).ljust(4096, b"\0")


def vdi(size=GIB):
    header = bytes(0x40) + struct.pack("<I", 0xBEDA107F)
    return (header.ljust(0x170, b"\0") + struct.pack("<Q", size)).ljust(4096, b"\0")


def vhdx(size=GIB, metadata=2 * MIB, entries=1):
    regions = struct.pack("<IIII", 0x69676572, 0, 1, 0)
    regions += uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E").bytes_le + struct.pack("<QII", metadata, MIB, 1)
    table = struct.pack("<8sHH", b"metadata", 0, entries).ljust(32, b"\0")
    table += uuid.UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8").bytes_le + struct.pack("<III", 65536, 8, 0)
    data = b"vhdxfile".ljust(192 * 1024, b"\0") + regions
    return data.ljust(2 * MIB, b"\0") + table.ljust(65536, b"\0") + struct.pack("<Q", size).ljust(4096, b"\0")


def iso(blocks=1000, boots=False):
    volume = (b"\1CD001\1".ljust(80, b"\0") + struct.pack("<II", blocks, 0)).ljust(128, b"\0") + struct.pack("<H", 2048)
    return (mbr() if boots else b"").ljust(32768, b"\0") + volume.ljust(4096, b"\0")


def mbr(flag=0x80):
    entry = struct.pack("<B3BB3BII", flag, 0, 2, 0, 0x83, 0, 0, 0, 1, 100)
    return (bytes(446) + entry).ljust(510, b"\0") + b"\x55\xaa"


def luks(payload=4096):
    return (b"LUKS\xba\xbe" + struct.pack(">H", 1)).ljust(104, b"\0") + struct.pack(">I", payload // 512) + bytes(8192)


GOOD = {
    "qcow2": (qcow2(), GIB),
    "vmdk": (vmdk(), MIB),
    "vhd": (vhd(), GIB),
    "vhdx": (vhdx(), GIB),
    "vdi": (vdi(), GIB),
    "iso": (iso(), 2048 * 1000),
}


# --- helpers -----------------------------------------------------------------------------


def inspector(disk_format="qcow2", container_format="bare", refuse=True, require=False, types=TYPES):
    options = SimpleNamespace(refuse_unsafe_images=refuse, require_image_format_match=require, vmdk_allowed_types=types)
    return Inspector(SimpleNamespace(image_format=options), disk_format, container_format)


def fed(data, *args, block=MIB, **kwargs):
    """An inspector that has seen ``data``."""
    made = inspector(*args, **kwargs)
    view = memoryview(data)
    for start in range(0, len(data), block):
        made.feed(view[start : start + block])
    return made


def refused(data, *args, early=True, **kwargs):
    """The reason why ``data`` is refused: while it comes (``early``), or at its end."""
    with pytest.raises(exception.UnsafeContent) as caught:
        made = fed(data.ljust(HEAD + 4096, b"\0") if early else data, *args, **kwargs)
        assert not early, "refused no earlier than at the end"
        made.finish()
    assert not isinstance(caught.value, exception.FormatMismatch)
    return str(caught.value)


# --- what is recognised ------------------------------------------------------------------------


@pytest.mark.parametrize("block", [512, 100_000, MIB, 16 * MIB])
@pytest.mark.parametrize("name", GOOD)
def test_virtual_size(name, block):
    data, size = GOOD[name]
    assert fed(data, name, require=True, block=block).finish() == size


def test_odd_block_sizes_change_nothing():
    assert fed(qcow2(), block=7).finish() == GIB
    assert "backing" in refused(qcow2(backing=600), block=13)


@pytest.mark.parametrize("data", [b"", b"some bytes", bytes(3 * MIB), *(data for data, _ in GOOD.values())])
def test_raw_is_whatever_comes(data):
    assert fed(data, "raw", require=True).finish() == len(data)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("declared", GOOD)
def test_mismatch(name, declared, caplog):
    if name == declared:
        return
    data = GOOD[name][0]
    with caplog.at_level(logging.INFO):
        assert fed(data, declared).finish() is None
    assert f"declared as {declared}, and looks like {name}" in caplog.text
    with pytest.raises(exception.FormatMismatch):
        fed(data, declared, require=True).finish()


def test_unrecognised_data():
    assert fed(b"x" * 1024, "qcow2").finish() is None
    with pytest.raises(exception.FormatMismatch, match="looks like nothing known"):
        fed(b"x" * 1024, "qcow2", require=True).finish()
    # Nobody can tell whether data is a ploop image, nor what an empty one is.
    assert fed(b"x" * 1024, "ploop", require=True).finish() is None
    assert fed(b"", "qcow2", require=True).finish() is None
    with pytest.raises(exception.FormatMismatch, match="looks like qcow2"):
        fed(qcow2(), "ploop", require=True).finish()


def test_only_bare_data_is_inspected():
    for container in ("ovf", "ova", "docker", "ami", None):
        assert fed(qcow2(backing=600), "qcow2", container, require=True).finish() is None


def test_bootable_iso_is_an_iso():
    assert fed(iso(boots=True), "iso", require=True).finish() == 2048 * 1000


def test_two_formats_at_once_are_neither():
    both = qcow2()[:32768] + iso()[32768:]
    assert fed(both, "qcow2").finish() is fed(both, "iso").finish() is None
    with pytest.raises(exception.FormatMismatch, match="looks like iso, qcow2"):
        fed(both, "qcow2", require=True).finish()


def test_formats_that_an_operator_may_add():
    disk = mbr() + bytes(3 * MIB)
    assert fed(disk, "gpt", require=True).finish() == len(disk)
    assert fed(luks() + bytes(MIB), "luks", require=True).finish() == len(luks()) + MIB - 4096


@pytest.mark.parametrize("data", [mbr(flag=0x17), luks()[:6] + b"\0\2" + luks()[8:]])
def test_odd_partition_tables_and_new_encryption_are_not_dangerous(data):
    assert fed(data, "raw").finish() == len(data)


@pytest.mark.parametrize(
    ("name", "data"), [("qcow2", qcow2(size=2**64 - 1)), ("vhd", vhd(2**63)), ("vhdx", vhdx(2**64 - 1))]
)
def test_sizes_that_no_database_can_keep(name, data):
    assert fed(data, name, require=True).finish() is None


def test_largest_size():
    assert fed(qcow2(size=MAX_BIGINT)).finish() == MAX_BIGINT


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("declared", ["qcow2", "raw", "iso", "ploop"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (qcow2(backing=600), "backing file"),
        (qcow2(features=1 << 2), "data_file"),
        (qcow2(features=1 << 40), "Unknown QCOW2 features"),
        (qcow2(version=1), "version"),
        (b"QED\0", "not allowed"),
        (vmdk(kind="monolithicFlat"), "subformat"),
        (vmdk(extents='RW 2048 FLAT "/etc/passwd" 0'), "extent"),
        (vmdk(extents=""), "No extents"),
        (vmdk(extents="parentFileNameHint and more"), "descriptor"),
        (vmdk(sectors=0), "other files"),
        (vmdk(text=b"\xff" * 2000), "No descriptor"),
        (vmdk(count=0), "No descriptor"),
        (vmdk(offset=5), "cannot be checked"),
        (vmdk(version=9), "cannot be checked"),
        (vmdk(extents='RW 2048 FLAT "/etc/passwd" 0', footer=vmdk_footer()), "extent"),
    ],
)
def test_dangerous(data, reason, declared):
    assert reason in refused(data, declared)
    fed(data, declared, refuse=False).finish()


@pytest.mark.parametrize("footer", [vmdk_footer(offset=9), bytes(1536), b"", vmdk_footer()[:-1] + b"x"])
def test_dangerous_footer(footer):
    refused(vmdk("streamOptimized", footer=footer), "vmdk", early=False)


def test_sound_footer():
    assert fed(vmdk("streamOptimized", footer=vmdk_footer()), "vmdk", require=True).finish() == MIB


@pytest.mark.parametrize("data", [vmdk()[:600], vmdk()[:40], vmdk(count=2**40)[: MIB // 2]])
def test_truncated_vmdk(data):
    assert "cannot be checked" in refused(data, "raw", early=False)


@pytest.mark.parametrize("length", [80, 104, 511])
def test_short_qcow2(length):
    """What is missing of the sector reads as zeros in qemu."""
    assert "backing" in refused(qcow2(backing=600, length=0)[:length], "raw", early=False)


@pytest.mark.parametrize("kind", ["monolithicSparse", "monolithicFlat", "custom"])
@pytest.mark.parametrize("declared", ["vmdk", "raw", "iso"])
def test_descriptor_without_data(kind, declared):
    """Even a name without a slash is a file beside the image: somebody else's."""
    text = DESCRIPTOR.format(kind=kind, extents='RW 1 FLAT "another-image" 0').encode()
    assert "other files" in refused(text, declared, early=False)
    assert "other files" in refused(text + b"\n" * HEAD + b"\0", declared)


def test_descriptor_that_the_library_does_not_read():
    for text in (
        DESCRIPTOR.format(kind="monolithicFlat", extents="# \xff").encode("latin-1"),
        b"# \xff\nversion=1\ncreateType=?monolithicFlat\"\nRW 1 FLAT \"/etc/passwd\" 0\n",
        b'version=1\ncreateType="custom"\nRW 1 FLAT "/a"',
    ):  # fmt: skip
        assert "other files" in refused(text, "vmdk", early=False)


def test_vmdk_types_are_the_operators_choice():
    assert "createType" in refused(vmdk(), "vmdk", types=["STREAMOPTIMIZED"])
    assert fed(vmdk(), "vmdk", types=["MONOLITHICSPARSE"]).finish() == MIB
    assert "createType" in refused(vmdk(), "vmdk", types=[])


def test_reason_holds_braces_and_nothing_of_the_data(caplog):
    text = "secret {0} {reason} line\n" * 20
    with caplog.at_level(logging.DEBUG):
        assert "secret" not in refused(vmdk(extents=text), "vmdk")
    assert "secret" not in caplog.text


def test_operator_lets_everything_in():
    assert fed(qcow2(backing=600), refuse=False, require=True).finish() == GIB
    assert fed(vmdk(kind="monolithicFlat"), "vmdk", refuse=False, require=True).finish() is None


# --- cost ------------------------------------------------------------------------------------


def test_no_reference_to_a_block_is_kept():
    for data in [*(data for data, _ in GOOD.values()), vmdk("streamOptimized", footer=vmdk_footer())]:
        made = inspector("raw")
        for start in range(0, len(data), MIB):
            with mmap.mmap(-1, MIB) as block:  # closing it raises BufferError while a view is left
                piece = data[start : start + MIB]
                block[: len(piece)] = piece
                view = memoryview(block)
                made.feed(view[: len(piece)])
                view.release()
        made.finish()


@pytest.mark.parametrize("name", ["raw", "qcow2", "vhd", "vdi", "iso"])
def test_nothing_is_parsed_after_the_start(name, monkeypatch):
    data = GOOD.get(name, (bytes(10), 0))[0].ljust(HEAD, b"\0")
    made = fed(data, name)
    monkeypatch.setattr(Inspector, "_eat", lambda *args: pytest.fail("parsed"))
    made.feed(memoryview(bytes(MIB)))
    made.finish()


def test_memory_is_bounded():
    block = memoryview(bytes(MIB))
    starts = [
        vmdk("streamOptimized", footer=b"")[:MIB],
        vhdx(metadata=2**63)[:MIB],
        vmdk(count=2**54)[:MIB],
        vmdk(count=2**54, footer=b"")[:MIB],
    ]
    tracemalloc.start()
    try:
        for start in starts:
            made = inspector("raw")
            made.feed(memoryview(start))
            for _ in range(100):
                made.feed(block)
            assert tracemalloc.get_traced_memory()[0] < 4 * MIB
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    finally:
        tracemalloc.stop()


# --- hostile data ---------------------------------------------------------------------------

SOUND = [
    *(data for data, _ in GOOD.values()),
    vmdk("streamOptimized", footer=vmdk_footer()),
    DESCRIPTOR.format(kind="monolithicFlat", extents="RW 1 FLAT x 0").encode(),
    iso(boots=True),
    mbr(),
    luks(),
    b"QED\0" + bytes(600),
]
PLACES = st.sampled_from([0, 0x40, 0x48, 440, 512, 32768, 192 * 1024, 2 * MIB, 2 * MIB + 65536])
CHANGES = st.lists(
    st.tuples(PLACES, st.integers(-8, 80), st.one_of(st.binary(min_size=1, max_size=16), st.just(b"\xff" * 8))),
    min_size=1,
    max_size=6,
)


@settings(max_examples=400, deadline=None)
@given(
    sound=st.sampled_from(SOUND),
    changes=CHANGES,
    cut=st.none() | st.integers(0, 3 * MIB),
    block=st.sampled_from([4096, 65537, MIB]),
    declared=st.sampled_from([*GOOD, "raw", "gpt", "luks", "ploop", None]),
    refuse=st.booleans(),
    require=st.booleans(),
)
def test_mutated_headers(sound, changes, cut, block, declared, refuse, require):
    data = bytearray(sound)
    for place, offset, value in changes:
        start = max(0, place + offset)
        if start + len(value) <= len(data):
            data[start : start + len(value)] = value
    try:
        size = fed(bytes(data[:cut]), declared, block=block, refuse=refuse, require=require).finish()
    except exception.FormatMismatch:
        assert require
    except exception.UnsafeContent:
        assert refuse
    else:
        assert size is None or 0 <= size <= MAX_BIGINT


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000), st.sampled_from(["raw", "vmdk", "qcow2", None]), st.integers(1, 700))
def test_any_data(data, declared, block):
    with contextlib.suppress(exception.UnsafeContent):
        fed(data, declared, block=block).finish()


# --- images of qemu-img --------------------------------------------------------------------------

QEMU_IMG = shutil.which("qemu-img")


@pytest.mark.skipif(QEMU_IMG is None, reason="qemu-img is not installed")
@pytest.mark.parametrize(
    ("name", "declared", "options"),
    [
        ("qcow2", "qcow2", ""), ("qcow2", "qcow2", "compat=0.10"), ("vmdk", "vmdk", "subformat=monolithicSparse"),
        ("vmdk", "vmdk", "subformat=streamOptimized"), ("vhdx", "vhdx", ""), ("vdi", "vdi", ""),
        ("vpc", "vhd", "subformat=dynamic,force_size=on"), ("raw", "raw", ""),
    ],
)  # fmt: skip
def test_images_of_qemu_img(name, declared, options, tmp_path):
    path = tmp_path / "image"
    extra = ["-o", options] if options else []
    subprocess.run([QEMU_IMG, "create", "-q", "-f", name, *extra, path, "8M"], check=True, timeout=60)
    assert fed(path.read_bytes(), declared, require=True).finish() == 8 * MIB


@pytest.mark.skipif(QEMU_IMG is None, reason="qemu-img is not installed")
def test_backing_file_of_qemu_img(tmp_path):
    base, image = tmp_path / "base", tmp_path / "image"
    base.write_bytes(bytes(MIB))
    command = [QEMU_IMG, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, image]
    subprocess.run(command, check=True, timeout=60)
    assert "backing" in refused(image.read_bytes(), early=False)
