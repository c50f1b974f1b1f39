"""The command line of `deep`: train, evaluate, cas."""

import json
import sys

from synthmodel.command_line import OneSentenceParser

__all__ = ["main"]


def parser():
    top = OneSentenceParser(prog="deep", description="Adversarial training of networks, robust accuracy and CAS.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train a recipe, or continue it",
                                description="Train a recipe, or continue its run folder OUT/NAME.")
    train.add_argument("recipe", help="at, at-cpu, planted-linear, planted-cnn")
    train.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the recipe, e.g. eps=4/255 seed=1")
    train.add_argument("--out", default="runs", help="the folder that holds the run folders (default: runs)")
    train.add_argument("--stop-after", type=int, metavar="EPOCH", help="stop there; the same command continues")
    evaluate = commands.add_parser("evaluate", help="clean and robust accuracy of a run, with n and intervals")
    cas = commands.add_parser("cas", help="class correlation, CAS and its variants of a run")
    cas.add_argument("--attack-seeds", type=int, default=3, help="attacks behind the interval (default: 3)")
    for command in (evaluate, cas):
        command.add_argument("run", help="a run folder")
        command.add_argument("--checkpoint", choices=("best", "last", "both"), default="both")
        command.add_argument("--attack-steps", type=int, help="PGD steps of size eps/4 (default: the recipe's)")
        command.add_argument("--json", action="store_true", help="print JSON")
    for command in (train, evaluate, cas):
        command.add_argument("--data", help="folder or archive with the data set (default: $DEEP_DATA)")
        command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
        command.add_argument("--threads", type=int, help="CPU threads (default: torch's)")
    return top


def positive(name, value, most=10**6):
    if value is not None and not 1 <= value <= most:
        raise ValueError(f"{name} = {value} was given, but it must be from 1 to {most}: choose such a number.")


def use_device(name, threads):
    import torch
    positive("--threads", threads, most=1024)
    if threads:
        torch.set_num_threads(threads)
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {name} cannot be used here: choose cpu, or a device that torch sees.") from error
    return name


def run_training(options):
    from deep.progress import training_progress
    from deep.recipe import recipe_named
    from deep.train import load_data, train
    recipe = recipe_named(options.recipe, options.overrides)
    positive("--stop-after", options.stop_after)
    device = use_device(options.device, options.threads)
    data = load_data(recipe, options.data)
    with training_progress(recipe) as progress:
        run = train(recipe, data, options.out, device=device, stop_after=options.stop_after, progress=progress)
    print(run.path)


def opened(options):
    """For `evaluate` and `cas`: the run, its data, and the checkpoints asked for."""
    from deep.run import RunFolder
    from deep.train import load_data
    positive("--attack-steps", options.attack_steps)
    run = RunFolder(options.run)
    recipe = run.recipe()
    device = use_device(options.device, options.threads)
    data = load_data(recipe, options.data).to(device)
    names = ("best", "last") if options.checkpoint == "both" else (options.checkpoint,)
    return run, recipe, data, device, names


def outcome_of(run, recipe, data, device, name, steps, seed):
    from deep.evaluate import evaluation_attack, measure
    from deep.progress import bar
    from deep.train import load_network
    model = load_network(run, data, name, device)
    attack = evaluation_attack(recipe, data.box, steps)
    with bar(f"attacking {name}", len(data.test)) as advance:
        return model, attack, measure(model, data.test, attack, seed, progress=advance)


def heading(run, recipe, data, attack, name):
    return {"run": str(run.path), "checkpoint": name, "epoch": run.model_state(name)["epoch"], "data": data.name,
            "n_test": len(data.test),
            "attack": f"PGD-{attack.steps} linf eps {attack.eps} step {attack.step} on {attack.loss}",
            "seed": recipe.seed}


def run_evaluate(options):
    from deep.evaluate import accuracy
    run, recipe, data, device, names = opened(options)
    results = []
    for name in names:
        _, attack, outcome = outcome_of(run, recipe, data, device, name, options.attack_steps, 0)
        results.append(heading(run, recipe, data, attack, name)
                       | {"clean": accuracy(outcome.clean), "robust": accuracy(outcome.robust)})
        run.write_json(f"evaluate-{name}.json", results[-1])
    if options.json:
        print(json.dumps(results))
        return
    for result in results:
        print(f"{result['checkpoint']} (epoch {result['epoch']}), {result['data']}, {result['attack']}")
        for kind in ("clean", "robust"):
            value = result[kind]
            low, high = (100 * bound for bound in value["interval"])
            print(f"  {kind:7} {100 * value['value']:6.2f} %  ({value['correct']} of {value['n']}; "
                  f"95 % Wilson interval {low:.2f} to {high:.2f} %)")


def run_cas(options):
    from deep.attribution import class_correlation
    from deep.evaluate import attributions, cas_interval
    run, recipe, data, device, names = opened(options)
    positive("--attack-seeds", options.attack_seeds)
    results = []
    for name in names:
        outcomes = []
        for seed in range(options.attack_seeds):
            model, attack, outcome = outcome_of(run, recipe, data, device, name, options.attack_steps, seed)
            outcomes.append(outcome)
        weight = model.linear.weight.detach().cpu()
        values = attributions(outcomes[0], weight)
        values["cas_interval"] = cas_interval(outcomes, weight)
        values["correlation"] = class_correlation(outcomes[0].features, outcomes[0].labels, weight).tolist()
        results.append(heading(run, recipe, data, attack, name) | {"classes": list(data.classes)} | values)
        run.write_json(f"cas-{name}.json", results[-1])
    if options.json:
        print(json.dumps(results))
        return
    for result in results:
        low, high = result["cas_interval"]
        print(f"{result['checkpoint']} (epoch {result['epoch']}), {result['data']}, {result['attack']}, "
              f"n = {result['n_test']}")
        width = max(len(name) for name in result["classes"])
        for label, row in zip(result["classes"], result["correlation"], strict=True):
            print(f"  {label:>{width}} " + " ".join(f"{value:6.2f}" for value in row))
        print(f"  CAS {result['cas']:.3f} (95 % interval {low:.3f} to {high:.3f}), null level "
              f"{result['cas_null']:.3f} ± {result['cas_null_sd']:.3f}, excess {result['cas_excess']:.3f}")
        for key in ("cas_gauge_fixed", "cas_per_instance", "cas_clean", "cas_clean_gauge_fixed", "margin_cas"):
            print(f"  {key.replace('_', ' '):22} {result[key]:.3f}")


def main(arguments=None):
    """Exit status 0; 2 for input that is refused, with one sentence; 1 for a failed training; 128 + signal."""
    words = parser()
    options, rest = words.parse_known_args(arguments)
    # argparse loses key=value words that follow an option
    if options.command == "train":
        options.overrides += [word for word in rest if "=" in word and not word.startswith("-")]
        rest = [word for word in rest if word not in options.overrides]
    if rest:
        words.error(f"{' '.join(rest)} was not understood")
    command = {"train": run_training, "evaluate": run_evaluate, "cas": run_cas}[options.command]
    try:
        command(options)
    except ValueError as error:
        print(f"deep: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"deep: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"deep: {error.filename or 'the output'} cannot be read or written ({error.strerror}): choose another "
              "place.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("deep: interrupted; the same command continues.", file=sys.stderr)
        return 130
    except Exception as error:
        number = getattr(error, "signal", None)
        if number is None:
            raise
        print(f"deep: {error}", file=sys.stderr)
        return 128 + number
    return 0


if __name__ == "__main__":
    sys.exit(main())
