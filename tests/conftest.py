"""What tests share: the data folder, and the profiles of hypothesis."""

import os
from pathlib import Path

# Threads on small matrices wait for each other more than they work, and each worker of pytest-xdist has a core of its
# own; set before numpy and torch are imported, and inherited by the processes that tests start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("thorough", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def cifar():
    """The folder of real CIFAR-10 images; without it the test skips, and CI fails."""
    folder = Path(os.environ.get("DEEP_DATA", SHARED / "data" / "cifar10-exact-subset"))
    if not (folder / "cifar-10-batches-py").is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"CI needs the images in {folder}, which are missing")
        pytest.skip(f"no CIFAR-10 images in {folder}: set DEEP_DATA to a folder that holds cifar-10-batches-py")
    return folder
