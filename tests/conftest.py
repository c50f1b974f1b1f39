"""What tests share: the data folder, a start of torch's random numbers, waiting, and the profiles of hypothesis."""

import importlib
import os
import time
import warnings
from pathlib import Path

# Threads on small matrices wait for each other more than they work, and each worker of pytest-xdist has a core of its
# own; set before numpy and torch are imported, and inherited by the processes that tests start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("thorough", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

SHARED = Path(__file__).resolve().parents[2] / "shared"

# The files that take longest, first: two processes that share the files out end together.
FIRST = ("tests/figures/test_figures.py", "tests/deep/system/test_kill.py", "tests/deep/training/test_loop.py",
         "tests/deep/data/test_planted.py", "tests/properties/test_properties.py",
         "tests/deep/system/test_processes.py", "tests/figures/test_atlas.py", "tests/deep/experiments/test_slurm.py",
         "tests/deep/cli/test_reproduce.py", "tests/deep/training/test_benchmark.py",
         "tests/figures/test_report_killed.py", "tests/deep/experiments/test_sweep.py")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Let pytest-xdist take the files in the order of the collection, not the files of most tests first."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Put the longest files first."""
    items.sort(key=lambda item: FIRST.index(file) if (file := item.nodeid.partition("::")[0]) in FIRST else len(FIRST))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Begin torch's global generator anew, before a test's fixtures are made: no number hangs on the tests before."""
    torch.manual_seed(0)


def missing(what):
    """Skip the test, which needs `what`; under CI (a variable CI in the environment), fail it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what} is missing, which this test needs")


def shared(name):
    """The path of ../shared/`name`, real data or reference numbers; a test skips without it, and fails under CI."""
    path = SHARED / name
    return path if path.exists() else missing(path)


def imported(name):
    """The module of an optional extra; a test skips without it, and fails under CI."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return importlib.import_module(name)
    except ImportError:
        missing(f"the package {name}")


@pytest.fixture(scope="session")
def cifar():
    """The folder of real CIFAR-10 images: DEEP_DATA, or the one in ../shared."""
    folder = Path(os.environ.get("DEEP_DATA", SHARED / "data" / "cifar10-exact-subset"))
    if not (folder / "cifar-10-batches-py").is_dir():
        missing(f"the folder cifar-10-batches-py in {folder} (set DEEP_DATA to where it is)")
    return folder


@pytest.fixture
def one_thread():
    """Sums over threads are added in another order: to the last bit, runs agree at the same number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def registry():
    """The networks, a registry to spoil."""
    from deep.networks.registry import NETWORKS
    names = dict(NETWORKS)
    yield NETWORKS
    NETWORKS.clear()
    NETWORKS.update(names)


@pytest.fixture
def pictures(monkeypatch):
    """The figures that a test saves, in order: what they show is compared with the data, not the files' sizes."""
    from matplotlib.figure import Figure
    found, save = [], Figure.savefig

    def savefig(figure, *arguments, **options):
        if figure not in found:
            found.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return found


def assert_draws(axis, *curves):
    """The first lines of the axis are these, (x, y) each."""
    lines = axis.get_lines()
    assert len(lines) >= len(curves)
    for line, (x, y) in zip(lines, curves, strict=False):
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_allclose(line.get_ydata(), y, rtol=1e-12)


def until(condition, process=None, patience=300):
    """Wait until condition() is true; fail after `patience` seconds, or when the process has ended before."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience} seconds"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)
