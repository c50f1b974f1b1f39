"""`deep cas --features`: what features, labels and the last layer tell without their network."""

import json
from contextlib import nullcontext
from zipfile import ZipFile

import numpy as np
import pytest

from deep.__main__ import main
from deep.evaluation.cas import cas, class_correlation, margin_cas
from deep.evaluation.cas_intervals import RESAMPLES
from deep.experiments.outside_network import read_features


def answer(capsys, *words):
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def arrays(n=60, d=5, classes=3):
    rng = np.random.default_rng(0)
    return {"features": rng.random((n, d)), "labels": np.arange(n) % classes, "weight": rng.normal(size=(classes, d))}


def test_features_alone_have_a_cas(tmp_path, capsys):
    given = arrays()
    np.savez(tmp_path / "f.npz", **given, classes=["ape", "bee", "cow"], superclasses=["big", "small", "big"])
    (found,) = answer(capsys, "cas", "--features", str(tmp_path / "f.npz"), "--out", str(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text()) == found
    means = np.stack([given["features"][i::3].mean(0) for i in range(3)]) * given["weight"]
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    assert found["cas"] == pytest.approx(sum(max(0, unit[i] @ unit[j]) for i, j in pairs))
    assert found["cas_within"] == pytest.approx(2 * max(0, unit[0] @ unit[2]))
    assert found["cas_interval"][0] <= found["cas_interval"][1]
    assert {"cas_null", "cas_excess", "sharing", "sharing_null", "cas_gauge_fixed", "profile"} <= found.keys()
    assert not {"margin_cas", "cas_clean", "sharing_clean", "clean", "robust"} & found.keys()
    assert (found["classes"], found["n"], found["margins"]) == (["ape", "bee", "cow"], 60, None)
    assert main(["cas", "--features", str(tmp_path / "f.npz")]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("null level", "sharing", "95 % interval", "bee shares", "CAS within",
                                        "times that spread"))


def test_its_intervals_have_a_bar(tmp_path, monkeypatch):
    """Which is full at their end."""
    steps = []
    monkeypatch.setattr("deep.experiments.outside_network.bar",
                        lambda description, total: nullcontext(lambda n: steps.append((total, n))))
    np.savez(tmp_path / "f.npz", **arrays())
    assert main(["cas", "--features", str(tmp_path / "f.npz")]) == 0
    assert {total for total, _ in steps} == {RESAMPLES} and sum(n for _, n in steps) == RESAMPLES


def test_clean_features_and_a_bias_tell_more(tmp_path, capsys):
    """All that `deep cas RUN` finds of the same network."""
    given = arrays()
    clean, bias = np.random.default_rng(1).random((60, 5)), np.array([0.1, 0.2, 0.3])
    np.savez(tmp_path / "f.npz", **given, clean_features=clean.astype(np.float32), bias=bias)
    (found,) = answer(capsys, "cas", "--features", str(tmp_path / "f.npz"))
    expected = cas(class_correlation(clean.astype(np.float32), given["labels"], given["weight"].astype(np.float32)))
    assert found["cas_clean"] == pytest.approx(expected, rel=1e-5)
    assert found["margin_cas"] == pytest.approx(margin_cas(clean, given["labels"], given["weight"]), rel=1e-5)
    scores = given["features"] @ given["weight"].T + bias
    wrong = np.stack([np.delete(row[label] - row, label) for row, label in zip(scores, given["labels"], strict=True)])
    assert found["margins"]["plain"]["spread"] == pytest.approx((wrong.mean(1) - wrong.min(1)).mean())
    assert read_features(tmp_path / "f.npz").classes == ("0", "1", "2")


@pytest.mark.parametrize(("change", "sentence"), [
    ({"weight": None}, "has no array weight: save numpy.savez(FILE, features=(n, d), labels=(n,), weight=(K, d))"),
    ({"colour": np.ones(3)}, "has an array colour, which is not known"),
    ({"features": np.ones((60, 4))}, "must be (n, d), (n,) and (K, d)"),
    ({"features": np.full((60, 5), np.nan)}, "hold a NaN"),
    ({"features": np.ones((60, 5), complex)}, "of type complex128"),
    ({"features": np.array([{}, 1], object)}, "no file of numpy.savez with plain arrays (Object arrays cannot"),
    ({"labels": np.arange(60) % 2}, "labels must name each of the 3 classes"),
    ({"labels": (np.arange(60) % 3).astype(float)}, "labels in"),
    ({"labels": np.arange(60) - 30}, "labels must name each of the 3 classes"),
    ({"classes": ["a", "b"]}, "but there are 3 classes: save 3 texts, all different"),
    ({"classes": ["a", "b", "b"]}, "save 3 texts, all different"),
    ({"superclasses": [1, 2, 3]}, "superclasses in"),
    ({"bias": np.ones(4)}, "bias in"),
    ({"labels": np.array([0, 1] * 29 + [2, 0])}, "FILE has 1 image of class 2, but an interval resamples the images"),
    ({"features": np.zeros((60, 5))}, "the features of FILE are all 0, so that the attributions have no cosine"),
    ({"clean_features": np.zeros((60, 5))}, "the clean_features of FILE are all 0"),
    ({"weight": np.zeros((3, 5))}, "the weight of FILE is all 0"),
    ({"weight": np.outer([1, 0, 2], np.ones(5))}, "class 1 of FILE has the attribution 0 (its row of weight is 0)"),
    ({"features": np.outer(np.arange(60) % 3, np.ones(5))}, "class 0 of FILE has the attribution 0 (the mean of"),
    ({"features": np.eye(5)[np.arange(60) % 3], "weight": np.eye(5)[[0, 1, 3]]}, "0 where its row of weight is not"),
    ({"clean_features": np.ones((3, 5))}, "in FILE: clean_features (3, 5), labels (60,) and weight (3, 5) were given"),
    ({"clean_features": np.ones((3, 5))}, "must be (n, d), (n,) and (K, d)"),
    ({"weight": np.ones((2, 5)), "labels": np.arange(60) % 2}, "margin-CAS compares triples: give at least 3"),
])
def test_what_is_wrong_with_features_is_said(change, sentence, tmp_path, capsys):
    given = {key: value for key, value in (arrays() | change).items() if value is not None}
    np.savez(tmp_path / "f.npz", **given)
    assert main(["cas", "--features", str(tmp_path / "f.npz")]) == 2
    said = capsys.readouterr()
    assert sentence in said.err.replace(str(tmp_path / "f.npz"), "FILE") and "pickle" not in said.err
    assert (len(said.err.strip().splitlines()), said.out) == (1, "")


def test_a_class_that_shares_nothing_has_a_nearest_one(tmp_path, capsys):
    given = arrays() | {"features": np.ones((60, 2)), "weight": np.array([[1, 0], [-1, -1], [3, 4]])}
    np.savez(tmp_path / "f.npz", **given)
    assert main(["cas", "--features", str(tmp_path / "f.npz")]) == 0
    out = capsys.readouterr().out
    assert "1 shares 0.000, nearest: 0 (-0.707)" in out and "0 shares 0.600, most with 2 (0.600)" in out


def test_a_value_beside_its_interval_is_explained(tmp_path, capsys):
    """Of five noisy images a class in many features: noise lowers every cosine, in a resample once more."""
    labels = np.arange(15) % 3
    for size, count, beside in ((3, 500, True), (0.01, 20, False)):
        rng = np.random.default_rng(0)
        means = rng.normal(size=(3, count))
        features = means[labels] + 1 + size * rng.normal(size=(15, count))
        np.savez(tmp_path / "f.npz", features=features, labels=labels, weight=means, clean_features=features)
        assert main(["cas", "--features", str(tmp_path / "f.npz"), "--out", str(tmp_path / "r.json")]) == 0
        found = json.loads((tmp_path / "r.json").read_text())
        low, high = found["intervals"]["margin_cas"]
        assert (found["margin_cas"] < low < high) == beside
        out = capsys.readouterr().out
        said = "margin cas: beside the interval, as noise in the class means biases the value, and the interval is"
        assert (said in out, "beside the interval" in out) == (beside, beside)


def test_intervals_from_few_images_are_said_to_be_too_narrow(tmp_path, capsys):
    for n, narrow in ((29, True), (30, False)):
        np.savez(tmp_path / "f.npz", **arrays(n))
        (found,) = answer(capsys, "cas", "--features", str(tmp_path / "f.npz"))
        assert (found["fewest_images"], found["intervals_too_narrow"]) == (n // 3, narrow)
        assert main(["cas", "--features", str(tmp_path / "f.npz")]) == 0
        said = "the intervals are too narrow: class 2 has 9 images, and a resampling needs 10 or more of each class"
        assert (said in capsys.readouterr().out) == narrow


@pytest.mark.parametrize("words", [["--eps", "0"], ["--split", "val"], ["--limit", "9"]])
def test_features_have_their_images_and_attack(words, tmp_path, capsys):
    assert main(["cas", "--features", str(tmp_path / "f.npz"), *words]) == 2
    assert "--features was given with --split or --eps" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--mean", "0.5", "--std", "0.2"], ["--model", "cnn"], ["--set", "eps=4/255"]])
def test_features_have_no_network(words, tmp_path, capsys):
    assert main(["cas", "--features", str(tmp_path / "f.npz"), *words]) == 2
    assert f"{words[0]} was given with --features, which have no network any more" in capsys.readouterr().err


def test_the_number_of_attacks_is_looked_at_first(tmp_path, capsys):
    """Before any file is, wherever the features or the network come from."""
    for place in (["--features", "no.npz"], ["--weights", "no.pt"], ["nowhere"]):
        assert main(["cas", *place, "--attack-seeds", "0"]) == 2
        assert "--attack-seeds = 0 was given" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00", b"PK\x03\x04 cut", None])
def test_a_file_that_is_no_npz_is_refused(content, tmp_path, capsys):
    path = tmp_path / "f.npz"
    if content is None:
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    else:
        path.write_bytes(content)
    assert main(["cas", "--features", str(path)]) == 2
    said = capsys.readouterr().err
    assert "is no file of numpy.savez with plain arrays" in said
    assert "save numpy.savez(FILE, features=(n, d), labels=(n,), weight=(K, d)), of numbers and texts alone" in said
    assert "pickle" not in said
    assert ("(it is no zip archive)" in said) == (content is None or not content.startswith(b"PK"))


def test_what_a_zip_archive_holds_must_be_arrays(tmp_path, capsys):
    with ZipFile(tmp_path / "f.npz", "w") as archive:
        archive.writestr("features", "text")
    assert main(["cas", "--features", str(tmp_path / "f.npz")]) == 2
    assert "is no file of numpy.savez with plain arrays (its features is no array): save" in capsys.readouterr().err
