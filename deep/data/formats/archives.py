"""Files of a folder, a `.tar.xz`, a `.tar.gz` or a `.zip`, read into memory; nothing is ever unpacked to disk.

Archives come from strangers: a member that would land outside, a link, a device or an absurd size is refused.
"""

import gzip
import hashlib
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

__all__ = ["SUFFIXES", "content_digest", "is_archive", "read_files", "rebased", "without_suffix"]

STREAMS: dict[str, Callable[..., Any]] = {".tar.xz": lzma.open, ".txz": lzma.open, ".tar.gz": gzip.open,
                                          ".tgz": gzip.open}
SUFFIXES = (*STREAMS, ".zip")
FILE_LIMIT = 2**28  # bytes; the largest file of the data sets read here is CIFAR-100's `train`, 155 MB
PARQUET_LIMIT = 2**30  # bytes; data hubs cut their Parquet files at half of that
HEADER_LIMIT = 2**20  # bytes of tar headers for one member: a long name is a header of any size
TOTAL_LIMIT = 2**33  # bytes, unpacked; Tiny-ImageNet has 0.25 GB
DAMAGE = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, tarfile.TarError, zipfile.BadZipFile,
          NotImplementedError, RuntimeError, struct.error)  # what the standard library raises on damaged archives


def is_archive(path: str | Path) -> bool:
    """Return whether the name of `path` ends like an archive that can be read, in any case.

    >>> is_archive("tiny-imagenet-200.ZIP"), is_archive("data_batch_1")
    (True, False)
    """
    return str(path).lower().endswith(SUFFIXES)


def without_suffix(name: str) -> str:
    """Return the name of an archive without its ending; any other name as it is.

    >>> without_suffix("cifar10-jpeg.tar.xz"), without_suffix("images.v2")
    ('cifar10-jpeg', 'images.v2')
    """
    return next((name[:-len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), name)


def visible(name: str) -> bool:
    """Return False for what file managers leave behind: `.DS_Store`, `._cat.png`, `__MACOSX/...`."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


class Bounded:
    """A stream that refuses to give more than `limit` bytes: a few bytes of xz can unpack to a full memory.

    allowed: how many bytes may be read before the next member's header is complete.
    """

    def __init__(self, stream: IO[bytes], limit: int, archive: Path) -> None:
        self.stream, self.left, self.limit, self.archive, self.allowed = stream, limit, limit, archive, limit

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.left -= len(content)
        self.allowed -= len(content)
        if self.left < 0:
            raise ValueError(f"{self.archive} unpacks to more than {self.limit} bytes, which no data set read here "
                             "has: pass the archive that its authors offer.")
        if self.allowed < 0:
            raise ValueError(f"{self.archive} holds a name or a header of more than {HEADER_LIMIT} bytes, which no "
                             "data set read here has: pass the archive that its authors offer.")
        return content


def size_limit(name: str) -> int:
    """Return how many bytes a file of that name may have."""
    return PARQUET_LIMIT if name.endswith(".parquet") else FILE_LIMIT


def check_size(where: Path, name: str, size: int) -> None:
    """Refuse a file that is too large to be part of a data set."""
    if size > size_limit(name):
        raise ValueError(f"{where} holds {name!r} of {size} bytes, but at most {size_limit(name)} are read: pass the "
                         "archive that its authors offer.")


def check_member(archive: Path, name: str, plain: bool) -> None:
    """Refuse a member that is outside the archive's own folder, or no plain file."""
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"{archive} holds {name!r}, which would lie outside it: pass an archive without such names.")
    if not plain:
        raise ValueError(f"{archive} holds {name!r}, which is a link or a device: pass an archive of plain files.")


def tar_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    suffix = next(ending for ending in STREAMS if str(path).lower().endswith(ending))
    with STREAMS[suffix](path) as unpacked:
        stream = Bounded(unpacked, TOTAL_LIMIT, path)
        stream.allowed = HEADER_LIMIT
        archive: Any  # the stubs know no `members`
        with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # or a million of empty members fill the memory
                check_member(path, member.name, member.isreg() or member.isdir())
                stream.allowed = HEADER_LIMIT + member.size  # for this member's content and the next one's header
                if member.isreg() and wanted(member.name):
                    check_size(path, member.name, member.size)
                    yield member.name, archive.extractfile(member).read()
        stream.allowed = stream.left
        while stream.read(2**20):  # the checksum stands at the end
            pass


def zip_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        total = sum(member.file_size for member in archive.infolist())
        if total > TOTAL_LIMIT:
            raise ValueError(f"{path} unpacks to {total} bytes, more than {TOTAL_LIMIT}, which no data set read here "
                             "has: pass the archive that its authors offer.")
        for member in archive.infolist():
            name = member.filename.replace("\\", "/")  # as old packers on Windows wrote it
            check_member(path, name, stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR))
            if member.flag_bits & 1:
                raise ValueError(f"{path} is encrypted: pass an archive without a password.")
            if not member.is_dir() and wanted(name):
                check_size(path, name, member.file_size)
                yield name, archive.read(member)


def read_plain(path: str | Path, name: str) -> bytes:
    """Return the bytes of a file below a folder; ValueError for what is no plain file: a pipe or a device never ends.

    It is opened without waiting for a writer, and asked what it is before anything is read.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path} is no plain file but a pipe, a device or a socket: remove it.")
        check_size(Path(path).parent, name, found.st_size)
        return file.read(found.st_size)


def folder_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    for folder, _, names in os.walk(path, followlinks=True):  # people assemble subsets of classes by links
        real, inside = os.path.realpath(folder), Path(folder).relative_to(path)
        if any(real == os.path.realpath(path / above) for above in inside.parents):
            raise ValueError(f"{folder} is reached twice, through a link: remove the link.")
        for file in sorted(names):
            name = (Path(folder) / file).relative_to(path).as_posix()
            if wanted(name):
                yield name, read_plain(Path(folder) / file, name)


def read_files(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Return {name: bytes} of the files below the folder, or in the archive, `path` for which wanted(name) is true.

    name: relative to `path`, with "/"; hidden files are left out. All of it is held in memory (at most 8 GiB).
    ValueError: a member lies outside the archive, is a link, is encrypted, is given twice, is larger than
    `size_limit`, or all are larger than TOTAL_LIMIT together; the archive is cut or damaged.

    >>> sorted(read_files(Path(__file__).parent, lambda name: name == "archives.py"))
    ['archives.py']
    """
    path = Path(path)
    members = folder_members if path.is_dir() else zip_members if path.suffix.lower() == ".zip" else tar_members
    files, total = {}, 0
    try:
        for name, content in members(path, lambda name: visible(name) and wanted(name)):
            name = PurePosixPath(name).as_posix()  # "./train/cat" is "train/cat"
            if name in files:
                raise ValueError(f"{path} holds {name!r} twice: pass an archive that holds each file once.")
            files[name] = content
            total += len(content)
            if total > TOTAL_LIMIT:
                raise ValueError(f"{path} holds more than {TOTAL_LIMIT} bytes of images, too many to be held in "
                                 "memory: pass a smaller set.")
    except DAMAGE as error:
        raise ValueError(f"{path} is cut or damaged ({type(error).__name__}: {error}): copy it again.") from error
    return files


def rebased(files: dict[str, bytes], markers: Collection[str], where: str | Path) -> dict[str, bytes]:
    """Return the same files as seen from the shallowest folder that holds one of the names `markers`.

    Archives wrap a data set in folders of any name. ValueError: two folders of that depth hold one; `where`
    names the source in it.

    >>> rebased({"sets/a/train/x.png": b"", "sets/readme": b""}, {"train"}, "sets.zip")
    {'train/x.png': b''}
    """
    tops = set()
    for parts in (name.split("/") for name in files):
        tops |= {tuple(parts[:depth]) for depth, part in enumerate(parts) if part in markers}
    top = min(tops, key=len, default=())
    rivals = sorted("/".join(other) for other in tops if len(other) == len(top))
    if len(rivals) > 1:
        raise ValueError(f"{where} holds several data sets ({', '.join(rivals[:4])}): pass one of them alone.")
    prefix = "".join(part + "/" for part in top)
    return {name.removeprefix(prefix): content for name, content in files.items() if name.startswith(prefix)}


def content_digest(path: str | Path, files: dict[str, bytes] | None = None) -> str:
    """Return the SHA-256, hexadecimal, of the archive `path` or, for a folder, of its `files` {name: bytes}.

    A folder's is that of the names in order, each followed by its size and bytes, so it does not depend on
    where the folder lies or on dates.

    >>> content_digest("here", {"a": b"1"}) == content_digest("there", {"b": b"1"})
    False
    """
    if files is None:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode(errors="surrogateescape"))
        digest.update(files[name])
    return digest.hexdigest()
