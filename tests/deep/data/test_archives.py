"""Archives read without unpacking, and refused when hostile or damaged; the cache of decoded images."""

import io
import pwd
import stat
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import deep.data.cache
import deep.data.formats.archives
import deep.system.lock
from deep.data.cache import Decoded, cache_folder, cached
from deep.data.formats.archives import content_digest, read_files, rebased
from tests.support.layouts import write_tar, write_tree, write_zip

pytestmark = pytest.mark.slow

FILES = {"set/train/cat/1.png": b"one" * 500, "set/train/dog/2.png": b"two" * 500, "set/readme.txt": b"three"}
WRITERS = {"set.tar.xz": write_tar, "set.txz": write_tar, "set.tar.gz": write_tar, "set.TGZ": write_tar,
           "set.zip": write_zip}


def everything(name):
    return True


@pytest.mark.parametrize("name", WRITERS)
def test_archives_hold_what_the_folder_holds(tmp_path, name):
    path = WRITERS[name](tmp_path / name, FILES)
    folder = write_tree(tmp_path / "folder", FILES)
    assert read_files(path, everything) == read_files(folder, everything) == FILES
    assert read_files(path, lambda name: name.endswith(".txt")) == {"set/readme.txt": b"three"}
    assert {entry.name for entry in tmp_path.iterdir()} == {name, "folder"}  # nothing was unpacked


def test_what_file_managers_leave_is_not_seen(tmp_path):
    hidden = {"__MACOSX/set/train/cat/._1.png": b"x", "set/.DS_Store": b"x", "set/train/cat/._1.png": b"x"}
    assert read_files(write_zip(tmp_path / "a.zip", FILES | hidden), everything) == FILES
    assert read_files(write_tree(tmp_path / "a", FILES | hidden), everything) == FILES


@pytest.mark.parametrize("name", ["../outside.png", "/outside.png", "set/../../outside.png"])
@pytest.mark.parametrize("archive", ["set.tar.gz", "set.zip"])
def test_a_member_outside_is_refused(tmp_path, name, archive):
    path = WRITERS[archive](tmp_path / archive, FILES | {name: b"evil"})
    with pytest.raises(ValueError, match=f"holds '{name}', which would lie outside it: pass an archive without"):
        read_files(path, everything)


def test_backslashes_are_folders_and_do_not_hide_a_way_out(tmp_path):
    assert read_files(write_zip(tmp_path / "old.zip", {"train\\cat\\1.png": b"x"}), everything) == {
        "train/cat/1.png": b"x"}
    with pytest.raises(ValueError, match="would lie outside it"):
        read_files(write_zip(tmp_path / "evil.zip", {"..\\1.png": b"x"}), everything)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar_are_refused(tmp_path, kind):
    member = tarfile.TarInfo("set/train/cat/link.png")
    member.type, member.linkname = kind, "/etc/passwd"
    path = write_tar(tmp_path / "set.tar.gz", FILES, [member])
    with pytest.raises(ValueError, match=r"holds 'set/train/cat/link.png', which is a link or a device"):
        read_files(path, everything)


def test_links_and_passwords_in_zip_are_refused(tmp_path):
    path = tmp_path / "set.zip"
    member = zipfile.ZipInfo("set/link.png")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(ValueError, match="which is a link or a device"):
        read_files(path, everything)
    content = bytearray(write_zip(path, {"a.png": b"x"}).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of the central directory
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is encrypted: pass an archive without a password"):
        read_files(path, everything)


@pytest.mark.parametrize("archive", ["set.tar.xz", "set.tar.gz", "set.zip"])
def test_absurd_sizes_are_refused(tmp_path, monkeypatch, archive):
    path = WRITERS[archive](tmp_path / archive, {"zeros.png": bytes(10**7), "more.png": bytes(10**7)})
    assert path.stat().st_size < 10**5
    assert len(read_files(path, everything)) == 2
    monkeypatch.setattr(deep.data.formats.archives, "FILE_LIMIT", 10**6)
    with pytest.raises(ValueError, match=r"holds 'zeros.png' of 10000000 bytes, but at most 1000000 are read"):
        read_files(path, everything)
    monkeypatch.setattr(deep.data.formats.archives, "TOTAL_LIMIT", 10**7)
    monkeypatch.setattr(deep.data.formats.archives, "FILE_LIMIT", 10**8)
    with pytest.raises(ValueError, match=r"unpacks to .*more than 10000000"):
        read_files(path, lambda name: False)  # members that are not wanted count too
    with pytest.raises(ValueError, match="holds more than 10000000 bytes of images"):
        read_files(write_tree(tmp_path / "folder", {"a.png": bytes(10**7), "b.png": b"x"}), everything)


def test_one_name_twice_and_a_wrong_format_are_refused(tmp_path):
    path = tmp_path / "set.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("a/b.png", "./a/b.png"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match=r"holds 'a/b.png' twice"):
        read_files(path, everything)
    for name in WRITERS:
        (tmp_path / name).write_bytes(b"<html>404 not found</html>" * 50)
        with pytest.raises(ValueError, match=r"is cut or damaged \(.*: copy it again"):
            read_files(tmp_path / name, everything)


@pytest.mark.parametrize("name", ["set.tar.xz", "set.tar.gz", "set.zip"])
def test_a_cut_or_flipped_archive_never_gives_other_files(tmp_path, name):
    """Every cut is refused; of 60 flipped bits each is refused or harmless (a date, a mode)."""
    content = WRITERS[name](tmp_path / name, FILES).read_bytes()
    for length in range(0, len(content), max(1, len(content) // 40)):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut or damaged"):
            read_files(tmp_path / name, everything)
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(len(content), size=60):
        changed = bytearray(content)
        changed[position] ^= 1 << int(rng.integers(8))
        (tmp_path / name).write_bytes(changed)
        try:
            found = read_files(tmp_path / name, everything)
        except ValueError as error:
            refused += 1
            assert name in str(error)
        else:
            # a zip's directory of names has no checksum of its own
            assert found == FILES or (name == "set.zip" and set(found.values()) <= set(FILES.values()))
    assert refused > 20


def test_links_in_a_folder_are_followed_once(tmp_path):
    write_tree(tmp_path / "all", FILES)
    (tmp_path / "subset" / "train").mkdir(parents=True)
    (tmp_path / "subset" / "train" / "cat").symlink_to(tmp_path / "all" / "set" / "train" / "cat")
    assert set(read_files(tmp_path / "subset", everything)) == {"train/cat/1.png"}
    (tmp_path / "subset" / "train" / "loop").symlink_to(tmp_path / "subset")
    with pytest.raises(ValueError, match="is reached twice, through a link: remove the link"):
        read_files(tmp_path / "subset", everything)


def test_the_data_set_is_found_below_folders_of_any_name():
    assert rebased(FILES, {"train"}, "x").keys() == {"train/cat/1.png", "train/dog/2.png", "readme.txt"}
    assert rebased({"train/train/1.png": b""}, {"train"}, "x") == {"train/train/1.png": b""}
    with pytest.raises(ValueError, match=r"two.zip holds several data sets \(a, b\): pass one of them alone"):
        rebased({"a/train/1": b"", "b/train/1": b""}, {"train"}, "two.zip")


def test_the_digest_follows_names_and_bytes_only(tmp_path):
    first = content_digest(tmp_path, FILES)
    assert first == content_digest("elsewhere", dict(reversed(FILES.items())))
    assert first != content_digest(tmp_path, FILES | {"set/readme.txt": b"thref"})
    assert content_digest(tmp_path, {"a": b"bc"}) != content_digest(tmp_path, {"ab": b"c"})
    assert content_digest(tmp_path, {"a": b"1", "b": b"2"}) != content_digest(tmp_path, {"a": b"2", "b": b"1"})


# --- the cache ---

def decoded(seed=0):
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(256, size=(6, 3, 4, 4), dtype=np.uint8), np.arange(6) % 2
    return Decoded(images, labels, images[:2], labels[:2], ("cat", "dog"), ("animal", "animal"), "JPEG", {"n": 6})


def never():
    raise AssertionError("decoded again")


def same(first, second):
    return all(np.array_equal(value, getattr(second, name)) and type(value) is type(getattr(second, name))
               for name, value in vars(first).items())


def test_decoded_once(tmp_path):
    assert same(cached("key", decoded, tmp_path), decoded())
    assert same(cached("key", never, tmp_path), decoded())
    assert not same(cached("other", lambda: decoded(1), tmp_path), decoded())
    assert not list(tmp_path.glob("*.tmp"))


def test_a_damaged_cache_is_made_again(tmp_path, capsys):
    """Any flipped bit and any cut gives the same images, from the file or from a second decoding that it announces."""
    cached("key", decoded, tmp_path)
    path = tmp_path / "key.npz"
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    told = 0
    for position in [*rng.integers(len(content), size=150), None, 0]:
        changed = bytearray(content if position is not None else content[:len(content) // 2])
        if position is not None:
            changed[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        assert same(cached("key", decoded, tmp_path), decoded())
        if message := capsys.readouterr().err:
            told += 1
            assert f"{path} is damaged" in message
            assert "it is made again" in message
            assert path.read_bytes() != bytes(changed)
    assert told > 50


def test_a_crash_while_writing_leaves_nothing_that_is_read(tmp_path, monkeypatch, capsys):
    (tmp_path / "key.npz.tmp").write_bytes(b"half of a file")
    assert same(cached("key", decoded, tmp_path), decoded())
    assert not list(tmp_path.glob("*.tmp"))

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(deep.data.cache.np, "savez", full)
    assert same(cached("new", decoded, tmp_path), decoded())
    assert "cannot be written (No space left on device), so the images are decoded each time" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"key.npz", "key.lock", "new.lock"}


def test_a_cache_that_others_may_only_read_is_read(tmp_path, monkeypatch, capsys):
    """The lock cannot be opened for writing, as for another user; the superuser of a container would not notice."""
    first = cached("key", decoded, tmp_path)

    def forbidden(path, mode="r"):
        if mode != "r":
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, mode)
    monkeypatch.setattr(deep.system.lock, "open", forbidden, raising=False)
    assert same(cached("key", lambda: pytest.fail("decoded again"), tmp_path), first)
    assert capsys.readouterr().err == ""
    assert same(cached("other", decoded, tmp_path), decoded())
    assert "cannot be used (Permission denied)" in capsys.readouterr().err


def test_a_user_without_a_home_has_no_cache(monkeypatch, capsys):
    """As in a container: no HOME, and no line of passwd for the user's number."""
    monkeypatch.delenv("DEEP_CACHE", raising=False)
    monkeypatch.delenv("HOME", raising=False)

    def nobody(number):
        raise KeyError(number)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert same(cached("key", decoded), decoded())
    assert capsys.readouterr().err == (
        "this user has no home folder, so there is no cache and the images are decoded each time: set DEEP_CACHE to a "
        "folder that can be written.\n")


def test_a_cache_that_cannot_be_used_is_done_without(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    assert same(cached("key", decoded, tmp_path / "file"), decoded())
    assert "cannot be used (File exists)" in capsys.readouterr().err


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("DEEP_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("DEEP_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(cache_folder()) == "/home/someone/.cache/deep"


def test_threads_that_want_the_same_images_decode_them_once(tmp_path):
    calls = []

    def slow():
        calls.append(1)
        return decoded()

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: cached("key", slow, tmp_path), range(16)))
    assert len(calls) == 1
    assert all(same(result, decoded()) for result in results)


def test_a_process_waits_for_another_that_decodes_the_same_images(tmp_path):
    code = ("import sys, time, numpy as np\nfrom deep.data.cache import Decoded, cached\n"
            "images, labels = np.full((1, 3, 2, 2), 7, np.uint8), np.zeros(1, np.int64)\n"
            "def slow():\n    print('decoding', flush=True)\n    time.sleep(0.5)\n"
            "    return Decoded(images, labels, images, labels, ('cat',))\n"
            "cached('key', slow, sys.argv[1])\n")
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "decoding\n"
        assert (cached("key", never, tmp_path).train_images == 7).all()
    assert process.returncode == 0
