"""`deep evaluate`: clean and robust accuracy of a run, with n and intervals, sanity flags, and a battery of attacks."""

import json

from deep.cli.common import add_run_options, opened, printed_first
from deep.system.device import positive

__all__ = ["add", "continues", "run"]


def add(commands):
    command = commands.add_parser(
        "evaluate", help="clean and robust accuracy of a run, with n and intervals",
        description="Clean accuracy, PGD's, and signs of masked gradients; with --attacks the worst case over these.")
    command.add_argument("--attacks", metavar="NAME,...", help="after the recipe's PGD: pgd20, pgd50x10 (10 random "
                         "starts), apgd-ce, apgd-dlr, apgd-t (apgd-t50: 50 steps instead of 100), square (square1000: "
                         "1,000 queries instead of 5,000), autoattack (needs its package), each on the images that "
                         "withstood all before it")
    command.add_argument("--separate", action="store_true",
                         help="each attack on every image that is correct when clean, so that it has its own accuracy")
    command.add_argument("--limit", type=int, metavar="N",
                         help="only a fixed sample of N test images, as many of each class")
    add_run_options(command)


def continues(options):
    if options.attacks is not None:
        return "the same command goes on after the last attack that has ended"
    return None


def run(options):
    from dataclasses import replace

    from deep.data.dataset import Split, balanced
    from deep.evaluation.accuracy import evaluation_attack
    from deep.evaluation.battery import rounds_of
    from deep.experiments.resumable_battery import Unfinished, identity_of
    from deep.runs.fingerprint import apart
    positive("--limit", options.limit)
    if options.separate and options.attacks is None:
        raise ValueError("--separate was given without --attacks, but it says how these are run: add --attacks.")
    folder, recipe, data, device, names = opened(options)
    sample = None
    if options.limit and options.limit < len(data.test):
        chosen = balanced(data.test.labels, options.limit).to(data.test.labels.device)
        sample = f"a fixed sample of the {len(data.test)} test images, balanced by class"
        data = replace(data, test=Split(data.test.images[chosen], data.test.labels[chosen]))
    attack = evaluation_attack(recipe, data.box, options.attack_steps)
    attacks = {name: rounds_of(name, attack, len(data.classes)) for name in (options.attacks or "").split(",")
               if options.attacks is not None}
    results = []
    with printed_first() as attempt:
        for name in names:
            # a part of the images, other images or other attacks never replace the evaluation on all of them
            part = apart(data) + (f"-sample{options.limit}" if sample else "")
            kept = Unfinished(folder.path / f"battery-{name}{part}-unfinished.json", identity_of(
                folder.model_state(name)["model"], data.test, attack, options.separate)) if attacks else None
            results.append(evaluated(folder, recipe, data, device, name, attacks, options, kept, attempt)
                           | {"sample": sample})
            attempt(entered, folder, f"{'battery' if attacks else 'evaluate'}-{name}{part}.json", results[-1], kept)
        if options.json:
            print(json.dumps(results))
        else:
            for result in results:
                print_result(result)


def entered(folder, name, result, kept):
    """Write a result, which is then no more unfinished."""
    folder.write_json(name, result)
    if kept:
        kept.remove()


def evaluated(folder, recipe, data, device, name, attacks, options, kept, attempt):
    """The result of one checkpoint, as JSON has it; what `kept` has of it is taken up."""
    from deep.evaluation.accuracy import accuracy, evaluation_attack
    from deep.evaluation.battery import rows, worst_case
    from deep.evaluation.gradient_masking import gap_flag, square_flag
    from deep.experiments.checkpoint_evaluation import heading
    from deep.experiments.resumable_battery import battery_kept, unpacked
    from deep.runs.network import load_network
    from deep.system.progress import bar
    attack = evaluation_attack(recipe, data.box, options.attack_steps)
    plain = kept and kept.values.get("plain")
    if not plain:
        plain = measured_plainly(folder, recipe, data, device, name, options)
        if kept:
            attempt(kept.enter, "plain", plain)
    known = {kind: unpacked(plain[kind]) for kind in ("clean", "robust")}
    result = heading(folder, recipe, data, attack, name) | {
        kind: accuracy(values) for kind, values in known.items()} | {"sanity": dict(plain["sanity"])}
    if attacks:
        model = load_network(folder, data, name, device)
        trials = battery_kept(kept, model, data.test, attacks, known, options.separate, bar, attempt)
        worst = worst_case(known, trials)
        result |= {"separate": options.separate, "attacks": rows(known, trials), "worst_case": accuracy(worst)}
        if any(trial.name == "autoattack" or trial.name.startswith(("apgd-t", "apgd-dlr")) for trial in trials):
            result["sanity"]["gap"] = gap_flag(known["clean"] & known["robust"], worst)
        if (found := square_flag(known, trials)) is not None:
            result["sanity"]["square_stronger"] = found
    return result


def measured_plainly(folder, recipe, data, device, name, options):
    """The samples that are right when clean and under the recipe's PGD, and the flags of masked gradients."""
    from deep.evaluation.gradient_masking import sanity_flags
    from deep.experiments.checkpoint_evaluation import outcome_of
    from deep.experiments.resumable_battery import packed
    model, attack, outcome = outcome_of(folder, recipe, data, device, name, options.attack_steps, 0)
    return {"clean": packed(outcome.clean), "robust": packed(outcome.robust),
            "sanity": sanity_flags(model, data.test, attack, outcome)}


def print_result(result):
    print(f"{result['checkpoint']} (epoch {result['epoch']}), {result['data']}, {result['attack']}, "
          f"n = {result['n_test']}" + (f", {result['sample']}" if result["sample"] else ""))
    print_accuracy("clean", result["clean"])
    print_accuracy("robust", result["robust"])
    for row in result.get("attacks", ()):
        if row["accuracy"]:
            print_accuracy(row["attack"], row["accuracy"])
        print_accuracy(f"worst case with {row['attack']}", row["worst_case"],
                       f"broke {row['broken']} of {row['attacked']} attacked")
    raised = [flag for flag, values in result["sanity"].items() if values["flag"]]
    print("  sanity: " + ("no flag of " + ", ".join(result["sanity"]) if not raised else "FLAGS RAISED"))
    for flag in raised:
        numbers = {key: value["value"] if isinstance(value, dict) else value
                   for key, value in result["sanity"][flag].items() if key != "flag"}
        print(f"    {flag}: " + ", ".join(f"{key} {value:.4g}" for key, value in numbers.items()))


def print_accuracy(kind, value, note=None):
    low, high = (100 * bound for bound in value["interval"])
    print(f"  {kind:26} {100 * value['value']:6.2f} %  ({value['correct']} of {value['n']}; 95 % Wilson interval "
          f"{low:.2f} to {high:.2f} %)" + (f"; {note}" if note else ""))
