"""Files from strangers that were made to do harm: pickles, archives, Parquet files and folders."""

import io
import json
import os
import pickle
import tarfile
import tracemalloc

import numpy as np
import pytest

import deep.data.formats.archives
from deep.data.dataset import load
from deep.data.formats.archives import read_files
from deep.data.formats.cifar import read_batch
from deep.data.formats.cifar_pickle import read_pickle
from tests.conftest import imported
from tests.support.layouts import noise, parquet, write_tar, write_tree, write_zip

LABELS = [("labels", 10)]
ROWS = noise(4).reshape(4, -1)
BYTES = ROWS.tobytes()


# --- pickles ---

def text(word):
    encoded = word.encode()
    return pickle.BINUNICODE + len(encoded).to_bytes(4, "little") + encoded


def number(value):
    return pickle.BININT + value.to_bytes(4, "little", signed=True)


def content(value):
    """Bytes, written as Python 3 writes them under protocol 2."""
    return named("_codecs encode") + text(value.decode("latin1")) + text("latin1") + pickle.TUPLE2 + pickle.REDUCE


def named(words):
    return pickle.GLOBAL + "\n".join(words.split()).encode() + b"\n"


def called(function, *arguments):
    return named(function) + pickle.MARK + b"".join(arguments) + pickle.TUPLE + pickle.REDUCE


def built(thing, *state):
    return thing + pickle.MARK + b"".join(state) + pickle.TUPLE + pickle.BUILD


def dtype(kind="u1", order="|", fields=(pickle.NONE,) * 3, size=-1, flags=0):
    return built(called("numpy dtype", text(kind), number(0), number(1)), number(3), text(order), *fields, number(size),
                 number(size), number(flags))


EMPTY = called("numpy.core.multiarray _reconstruct", named("numpy ndarray"), number(0) + pickle.TUPLE1, text("b"))


def array(shape=(4, 3072), kind=None, data=BYTES, fortran=pickle.NEWFALSE, version=1):
    sizes = pickle.MARK + b"".join(map(number, shape)) + pickle.TUPLE
    return built(EMPTY, number(version), sizes, kind or dtype(), fortran, content(data))


def batch(data, labels=None):
    """A pickle of {"data": data, "labels": labels}, each the opcodes of its value."""
    labels = labels or pickle.EMPTY_LIST + pickle.MARK + number(1) * 4 + pickle.APPENDS
    return (pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK + text("data") + data + text("labels") + labels
            + pickle.SETITEMS + pickle.STOP)


def test_the_opcodes_above_are_those_of_a_batch():
    images, labels = read_batch(batch(array()), "batch", LABELS)
    assert np.array_equal(images, noise(4))
    assert labels.tolist() == [1] * 4
    assert pickle.loads(batch(array()))["labels"] == [1] * 4  # and numpy itself agrees on what they say
    assert np.array_equal(pickle.loads(batch(array()))["data"], ROWS)


# dtype("V8") told that it has a field at an offset of 1 GiB: writing through the field is writing anywhere
FIELDS = (text("a") + pickle.TUPLE1, pickle.EMPTY_DICT + text("a") + dtype() + number(1 << 30) + pickle.TUPLE2
          + pickle.SETITEM)
WILD = built(called("numpy dtype", text("V8"), number(0), number(1)), number(3), text("|"), pickle.NONE, *FIELDS,
             number(8), number(1), number(16))
WRITE = text("a") + number(65) + pickle.SETITEM

HOSTILE_ARRAYS = {
    "a write into an array without bytes": EMPTY + WRITE,
    "a field outside, written": array(shape=(1,), kind=WILD, data=bytes(8)) + WRITE,
    "a field outside, in a batch": array(kind=WILD),
    "fields on bytes": array(kind=dtype(fields=(pickle.NONE, *FIELDS))),
    "another item size": array(kind=dtype(size=1 << 20)),
    "flags": array(kind=dtype(flags=63)),
    "objects": array(kind=dtype("O")),
    "no bytes": EMPTY,
    "a call of ndarray": called("numpy ndarray", number(4) + number(3072) + pickle.TUPLE2, text("u1")),
    "strides": called("numpy ndarray", number(4) + number(3072) + pickle.TUPLE2, text("u1"), content(b"a"), number(0),
                      number(0) + number(0) + pickle.TUPLE2),
    "too few bytes": array(data=b"a"),
    "too many bytes": array(data=BYTES + b"a"),
    "a larger shape": array(shape=(5, 3072)),
    "a negative shape": array(shape=(-4, -3072)),
    "two-byte numbers": array(kind=dtype("u2", "<")),
    "Fortran's order": array(fortran=pickle.NEWTRUE),
    "a new state of a function": named("numpy dtype") + pickle.NONE + pickle.EMPTY_DICT + text("call") + number(1)
    + pickle.SETITEM + pickle.TUPLE2 + pickle.BUILD,
    "another codec": called("_codecs encode", text("x"), text("zip")),
    "an instance by its class": named("numpy ndarray") + pickle.EMPTY_TUPLE + pickle.NEWOBJ,
    "a claim of 2 EB": pickle.BYTEARRAY8 + (1 << 61).to_bytes(8, "little") + b"a",
    "a claim of 2^31 places": number(1) + pickle.LONG_BINPUT + (2**31).to_bytes(4, "little"),
    "an extension": pickle.EXT1 + b"\x01",
    "a key of nested tuples": pickle.EMPTY_DICT + pickle.EMPTY_TUPLE + pickle.TUPLE1 * 3 * 10**5 + number(1)
    + pickle.SETITEM,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
def test_a_pickle_makes_nothing_but_a_batch(name):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^batch (cannot be read as a|does not hold n images)") as error:
            read_batch(batch(HOSTILE_ARRAYS[name]), "batch", LABELS)
        assert tracemalloc.get_traced_memory()[1] < 5 * 10**8
    finally:
        tracemalloc.stop()
    assert str(error.value).endswith("copy the file again.")
    images, _ = read_batch(batch(array()), "batch", LABELS)  # nothing was changed for the next file
    assert np.array_equal(images, noise(4))


def test_labels_are_integers_and_may_come_as_arrays_or_tuples():
    int64 = np.array([3, 0, 9, 1])
    for labels in (int64, tuple(int64.tolist()), int64.astype(np.uint8), int64.tolist()):
        found = read_batch(pickle.dumps({b"data": ROWS, b"labels": labels}, protocol=2), "batch", LABELS)[1]
        assert found.dtype == np.int64
        assert found.tolist() == [3, 0, 9, 1]
    for labels in ([True, False, True, False], int64.astype(bool), int64 / 2, [3, 0, 9, 10], int64[:, None], "abcd"):
        with pytest.raises(ValueError, match=r"^batch (holds labels outside 0..9|does not hold labels|cannot be read)"):
            read_batch(pickle.dumps({b"data": ROWS, b"labels": labels}, protocol=2), "batch", LABELS)


def test_any_protocol_up_to_the_fourth():
    for protocol in range(5):
        assert np.array_equal(read_pickle(pickle.dumps({"data": ROWS}, protocol), "batch")["data"], ROWS)


# --- archives and folders ---

def long_header(path, kind, size):
    """A tar whose first member says that its name, link or pax record has `size` bytes, as zeros."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = kind, size
    with deep.data.formats.archives.gzip.open(path, "wb", compresslevel=1) as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE,
                                  tarfile.XGLTYPE])
def test_a_header_of_any_size_is_not_read(tmp_path, kind):
    path = long_header(tmp_path / "set.tar.gz", kind, 1 << 25)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"holds a name or a header of more than 1048576 bytes, which no"):
            read_files(path, lambda name: True)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()


def test_headers_after_a_long_member_and_long_names_are_read(tmp_path):
    name = "/".join(["train", "cat" * 80, "x" * 250 + ".png"])
    path = write_tar(tmp_path / "set.tar.gz", {"a.txt": bytes(3 << 20), name: b"one", "b.txt": bytes(2 << 20)})
    assert read_files(path, lambda name: name.endswith("png")) == {name: b"one"}
    assert len(read_files(path, lambda name: True)) == 3


@pytest.mark.parametrize("name", ["set.tar.gz", "set.zip", "set"])
def test_the_limit_of_a_file_depends_on_its_kind(tmp_path, monkeypatch, name):
    monkeypatch.setattr(deep.data.formats.archives, "FILE_LIMIT", 1000)
    monkeypatch.setattr(deep.data.formats.archives, "PARQUET_LIMIT", 3000)
    write = {"set.tar.gz": write_tar, "set.zip": write_zip, "set": write_tree}[name]
    path = write(tmp_path / name, {"a.parquet": bytes(3000), "a.png": bytes(1000), "notes.txt": bytes(10**5)})
    assert len(read_files(path, lambda name: not name.endswith("txt"))) == 2  # what is not wanted may be large
    with pytest.raises(ValueError, match=r"holds 'notes.txt' of 100000 bytes, but at most 1000 are read"):
        read_files(path, lambda name: True)


def test_a_gigabyte_of_zeros_is_refused():
    with pytest.raises(ValueError, match=r"set.tar.xz holds 'a.png' of 1000000000 bytes, but at most 268435456 are"):
        deep.data.formats.archives.check_size("set.tar.xz", "a.png", 10**9)


def test_a_pipe_or_a_device_in_a_folder_is_refused(tmp_path):
    for name, make in (("pipe", os.mkfifo), ("zero", lambda path: path.symlink_to("/dev/zero"))):
        folder = write_tree(tmp_path / name, {"train/cat/1.png": b"one"})
        make(folder / "train" / "cat" / "2.png")
        with pytest.raises(ValueError, match=r"2.png is no plain file but a pipe, a device or a socket: remove it"):
            read_files(folder, lambda name: True)


# --- Parquet ---

def changed(file, change):
    """The Parquet file whose table is change(its table)."""
    parquet = imported("pyarrow.parquet")
    written = io.BytesIO()
    parquet.write_table(change(parquet.read_table(io.BytesIO(file))), written)
    return written.getvalue()


def with_metadata(file, value):
    return changed(file, lambda table: table.replace_schema_metadata({"huggingface": value}))


def test_hostile_parquet_is_answered_in_one_sentence(tmp_path):
    pyarrow = imported("pyarrow")
    labels = [0, 1, 2, 0, 1, 2]
    good = parquet(noise(6), labels)
    names = json.dumps({"info": {"features": {"label": {"names": ["a", "a", "b"]}}}})
    cases = {
        "billion": (parquet(noise(6), [0, 1, 2, 0, 1, 10**9]), "has a label 1000000000 among 6 images"),
        "unsigned": (parquet(noise(6), pyarrow.array([0, 1, 2, 0, 1, 2**64 - 1], pyarrow.uint64())),
                     "has a label 18446744073709551615 among 6 images"),
        "bool": (parquet(noise(6), [True, False] * 3), "has a label that is no integer from 0 on"),
        "twice": (changed(parquet(noise(6), labels, other=labels),
                          lambda table: table.rename_columns(["img", "label", "label"])), "has the column label twice"),
        "nested": (with_metadata(good, "[" * 10**5), "has metadata nested too deeply to be read"),
        "names": (with_metadata(good, names), "names a class of label twice, 'a'"),
    }
    for name, (file, sentence) in cases.items():
        root = write_tree(tmp_path / name, {"train.parquet": file, "test.parquet": file})
        with pytest.raises(ValueError, match=sentence) as error:
            load("folder", root, val_size=2)
        assert str(root) in str(error.value)


def test_a_row_stored_once_and_repeated_is_counted_as_often_as_it_is_read(tmp_path, monkeypatch):
    file = parquet([noise(1)[0]] * 600, [0, 1, 2] * 200)
    monkeypatch.setattr("deep.data.formats.parquet.TOTAL_LIMIT", 2 * len(file))
    with pytest.raises(ValueError, match=r"cannot be read as Parquet \(it unpacks to more than \d+ bytes\)"):
        load("folder", write_tree(tmp_path / "set", {"train.parquet": file, "test.parquet": file}), val_size=2)


@pytest.mark.parametrize("names", [list("aabcdefghi"), [b"a"] * 10])
def test_two_classes_of_one_name_are_refused(tmp_path, names):
    files = {"data_batch_1": pickle.dumps({b"data": ROWS, b"labels": [0] * 4}, 2)}
    files["test_batch"] = files["data_batch_1"]
    files["batches.meta"] = pickle.dumps({b"label_names": names}, 2)
    with pytest.raises(ValueError, match=r"batches.meta names a class twice, 'a': copy the file again"):
        load("cifar10", write_tree(tmp_path / "cifar-10-batches-py", files), val_size=1)
