"""What several commands share: options, devices, and the run whose checkpoints they read."""

from contextlib import contextmanager

from deep.system.device import positive, use_device

__all__ = ["ATTACK_STEPS", "add_attack_steps", "add_machine_options", "add_run_options", "opened", "printed_first"]

ATTACK_STEPS = 20  # of PGD where a run is measured; what training writes of itself has the recipe's eval_steps


def add_machine_options(command):
    command.add_argument("--data", help="folder or archive with the data set (default: $DEEP_DATA)")
    command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    command.add_argument("--threads", type=int, help="CPU threads (default: torch's)")


def add_attack_steps(command):
    command.add_argument("--attack-steps", type=int, default=ATTACK_STEPS, metavar="N",
                         help=f"steps of the PGD that measures, of size eps/4 (default: {ATTACK_STEPS})")


def add_run_options(command, checkpoints=("best", "last", "both")):
    command.add_argument("run", help="a run folder")
    command.add_argument("--checkpoint", choices=checkpoints, default="both")
    add_attack_steps(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    add_machine_options(command)


@contextmanager
def printed_first():
    """Yield attempt(write, *arguments): its OSError, of a read-only run folder, say, is raised when the block ends.

    What was computed is printed in the block, whether or not it could be written.
    """
    failures = []

    def attempt(write, *arguments):
        try:
            write(*arguments)
        except OSError as error:
            failures.append(error)

    yield attempt
    if failures:
        raise failures[-1]


def opened(options):
    """The run, its recipe, its data on the device, the device, and the checkpoints asked for."""
    from deep.runs.fingerprint import for_measuring
    from deep.runs.folder import RunFolder
    from deep.training.loop import load_data
    positive("--attack-steps", options.attack_steps)
    run = RunFolder(options.run)
    recipe = run.recipe()
    device = use_device(options.device, options.threads)
    data = for_measuring(run, load_data(recipe, options.data)).to(device)
    names = ("best", "last") if options.checkpoint == "both" else (options.checkpoint,)
    return run, recipe, data, device, names
