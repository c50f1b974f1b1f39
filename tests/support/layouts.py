"""Small data sets in the official layouts, as {name: bytes}, and ways to lay them on disk."""

import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
from PIL import Image

from tests.conftest import imported


def noise(n, side=32, seed=0):
    """Images uint8 (n, 3, side, side), no two alike; smooth, so that JPEG keeps them apart."""
    coarse = np.random.default_rng(seed).integers(30, 225, size=(n, 3, side // 8, side // 8), dtype=np.uint8)
    return coarse.repeat(8, axis=2).repeat(8, axis=3)


def coded(image, kind="png", mode="RGB"):
    """The bytes of one image (3, h, w) as a file."""
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).convert(mode).save(file, kind)
    return file.getvalue()


def pickled(**content):
    return pickle.dumps({key.encode(): value for key, value in content.items()}, protocol=2)


def cifar10_files(n=20):
    files = {f"data_batch_{batch}": noise(n, seed=batch) for batch in (1, 2)} | {"test_batch": noise(n, seed=9)}
    return {f"cifar-10-batches-py/{name}": pickled(data=images.reshape(n, -1), labels=[i % 10 for i in range(n)])
            for name, images in files.items()}


def cifar100_files(n=24):
    """Four classes in two superclasses: 0 and 2 are animals, 1 and 3 plants."""
    files = {"meta": pickled(fine_label_names=[b"cat", b"oak", b"dog", b"elm"],
                             coarse_label_names=[b"plants", b"animals"])}
    for seed, name in enumerate(("train", "test")):
        labels = [i % 4 for i in range(n)]
        files[name] = pickled(data=noise(n, seed=seed).reshape(n, -1), fine_labels=labels,
                              coarse_labels=[(label + 1) % 2 for label in labels])
    return {f"cifar-100-python/{name}": content for name, content in files.items()}


def tiny_files(train=6, val=2):
    """Three classes; the first training image of each is gray."""
    files = {"wnids.txt": b"n03\nn01\nn02\n",
             "words.txt": b"n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane\n",
             "test/images/test_0.JPEG": coded(noise(1, 64)[0], "jpeg")}
    annotations = []
    for label, wnid in enumerate(("n01", "n02", "n03")):
        for i, image in enumerate(noise(train, 64, seed=label)):
            files[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = coded(image, "jpeg", "RGB" if i else "L")
        files[f"train/{wnid}/{wnid}_boxes.txt"] = "".join(f"{wnid}_{i}.JPEG\t0\t0\t63\t63\n"
                                                          for i in range(train)).encode()
        for i, image in enumerate(noise(val, 64, seed=10 + label)):
            files[f"val/images/val_{3 * i + label}.JPEG"] = coded(image, "jpeg")
            annotations.append(f"val_{3 * i + label}.JPEG\t{wnid}\t0\t0\t63\t63\n")
    files["val/val_annotations.txt"] = "".join(annotations).encode()
    return {f"tiny-imagenet-200/{name}": content for name, content in files.items()}


def folder_files(train=8, test=3, side=32):
    """Three classes, PNG and JPEG with endings in any case."""
    files = {}
    for label, name in enumerate(("cat", "dog", "eel")):
        for split, count, seed in (("train", train, label), ("test", test, 5 + label)):
            for i, image in enumerate(noise(count, side, seed)):
                ending, kind = ((".png", "png"), (".JPG", "jpeg"), (".jpeg", "jpeg"), (".PNG", "png"))[i % 4]
                files[f"{split}/{name}/{i:03}{ending}"] = coded(image, kind)
    return files


def parquet(images, labels, names=None, column="img", key="label", struct=True, **more):
    """The bytes of one Parquet file as the `datasets` library writes it; more: further label columns."""
    pyarrow = imported("pyarrow")
    imported("pyarrow.parquet")
    contents = [image if isinstance(image, bytes) else coded(image) for image in images]
    columns = {column: [{"bytes": content, "path": f"{i}.png"} for i, content in enumerate(contents)] if struct
               else contents, key: labels, **more}
    table = pyarrow.table(columns)
    if names:
        features = {key: {"names": value, "_type": "ClassLabel"} for key, value in names.items()}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def write_tree(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_tar(path, files, extra=()):
    """A tar archive, compressed by its ending; extra: TarInfo without content."""
    with tarfile.open(path, "w:xz" if str(path).endswith("xz") else "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in extra:
            archive.addfile(member)
    return path


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
