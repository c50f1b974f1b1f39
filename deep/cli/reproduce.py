"""`deep reproduce`: trains and measures the runs of a table of the paper, and prints it beside the paper's numbers."""

import hashlib
import json
import shlex
from contextlib import chdir, suppress
from pathlib import Path

from deep.cli.common import ATTACK_STEPS, add_attack_steps
from deep.experiments.paper_tables import SCALES, TABLES
from deep.system.device import positive, use_device
from deep.system.messages import tell

__all__ = ["add", "continues", "run"]


def add(commands):
    command = commands.add_parser(
        "reproduce", help="a table of the paper beside its own measurement",
        description="Train the runs of a table in run folders in OUT, or continue them, measure each checkpoint once, "
                    "and print the table beside the paper's numbers. Any number of processes may work on one table.")
    command.add_argument("table", choices=TABLES)
    command.add_argument("--scale", choices=SCALES, required=True,
                         help="paper: the recipe of its public code, 200 epochs (one-step training 30) on all images, "
                              "in float32, selected on the test images; gpu: what one H200 does within half an hour a "
                              "run; cpu: a narrow network on few images, minutes to an hour a run")
    command.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N-1 (default: 3)")
    command.add_argument("--set", action="append", default=[], metavar="key=value", dest="changes",
                         help="a change to every recipe, which the caption then names; may be repeated")
    command.add_argument("--worst-case", nargs="?", const="apgd-ce,apgd-t", metavar="ATTACKS",
                         help="a column with the pointwise worst case of these attacks (default: apgd-ce,apgd-t)")
    add_attack_steps(command)
    command.add_argument("--out", default="runs", help="the folder that holds the run folders (default: runs)")
    command.add_argument("--list", action="store_true", help="print how each run stands, and train nothing")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--data", action="append", default=[], metavar="[NAME=]DIR",
                         help="folder or archive with the data sets, or with the one called NAME (cifar10, cifar100, "
                              "tiny-imagenet); an image folder stands in for cifar10; may be repeated (default: "
                              "$DEEP_DATA)")
    command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    command.add_argument("--threads", type=int, help="CPU threads (default: torch's)")


def continues(options):
    return "the same command continues it"


def run(options):
    from deep.experiments.data_sets import Images, places_of, stand_in
    from deep.experiments.paper_tables import planned
    positive("--seeds", options.seeds, most=1000)
    positive("--attack-steps", options.attack_steps)
    places = places_of(options.data)
    sets = {name: stand_in(name, place) for name, place in places.items()}
    plan = planned(options.table, options.scale, options.seeds, options.changes, sets)
    if options.list:
        show(plan, options)
        return
    attacks = tuple((options.worst_case or "").split(",")) if options.worst_case is not None else ()
    device = use_device(options.device, options.threads)
    images = Images(places, device)
    missing = {key: images.missing(one.run.recipe) for key, one in plan.items()}
    if all(missing.values()):
        raise ValueError(next(iter(missing.values())))
    check_attacks(attacks, plan, images, missing)
    Path(options.out).mkdir(parents=True, exist_ok=True)
    train_all(plan, missing, images, attacks, options, device)
    results = measure_all(plan, missing, images, attacks, options, device)
    report = reported(plan, results, missing, images, attacks, options)
    write(report, options)
    from deep.experiments.table_markdown import printed
    print(json.dumps(report) if options.json else "\n".join(printed(report)))
    if any(row["missing"] for row in report["rows"]):
        raise SystemExit(1)


def check_attacks(attacks, plan, images, missing):
    """ValueError for an attack that is unknown, before anything is trained."""
    from deep.evaluation.accuracy import evaluation_attack
    from deep.evaluation.battery import rounds_of
    for key, one in plan.items():
        if not missing[key]:
            data = images.of(one.run.recipe)
            for name in attacks:
                rounds_of(name, evaluation_attack(one.run.recipe, data.box), len(data.classes))


def show(plan, options):
    """--list: one line a run."""
    from deep.experiments.sweep import standing
    found = [standing(one.run, options.out) for one in plan.values()]
    if options.json:
        print(json.dumps(found))
        return
    for one in found:
        epochs = f", epoch {one['epoch']} of {one['epochs']}" if one["state"] in ("partial", "in use", "failed") else ""
        reason = f": {one['reason']}" if one["reason"] else ""
        print(f"{one['run']}  {', '.join(one['changes'])}  {one['state']}{epochs}{reason}")


def train_all(plan, missing, images, attacks, options, device):
    """Train what is neither finished nor another process's, teachers first; each run is measured when it is trained."""
    from deep.experiments.sweep import forget_failures, standing, train_one, work
    from deep.system.progress import training_progress
    systems = {one.run.name: one for one in plan.values()}

    def train_run(run):
        one, before = systems[run.name], standing(run, options.out)
        tell(f"{run.name} ({', '.join(run.words)}): "
             + (f"continued after epoch {before['epoch']}" if before["epoch"] else "begun"))
        place = images.place(run.recipe)
        # a teacher is named by its run alone, which is found in OUT
        with chdir(options.out), training_progress(run.recipe) as progress:
            state, reason = train_one(run, ".", place, device, progress)
        tell(f"{run.name}: {state}" + (f": {reason}" if reason else ""))
        if state == "finished":
            with suppress(ValueError):  # measure_all comes by again, and says so in the table
                measure(one, images, attacks, options, device)
        return state

    ready = [one for key, one in plan.items() if not missing[key]]
    forget_failures([one.run for one in ready], options.out)
    work([one.run for one in ready if not one.teachers], options.out, train_run)
    finished = {one.run.name for one in ready if standing(one.run, options.out)["state"] == "finished"}
    work([one.run for one in ready if one.teachers and finished >= set(one.teachers)], options.out, train_run)


def measure(one, images, attacks, options, device):
    """{stage: values} of a finished run; ValueError if a checkpoint is missing or the run saw other images."""
    from deep.experiments.checkpoint_evaluation import alone, measured_once, worst_once
    from deep.experiments.comparison import values_of
    from deep.experiments.paper_tables import checkpoint_of
    from deep.runs.fingerprint import unlike
    from deep.runs.folder import RunFolder
    from deep.training.overfitting_probe import judged
    stages = dict(TABLES[options.table][1]).get(one.system, ())
    folder, recipe, data = RunFolder(Path(options.out) / one.run.name), one.run.recipe, images.of(one.run.recipe)
    if stages and unlike(folder.model_state("last"), data):
        raise ValueError(f"{folder.path} was trained on other images than {data.name}: give it the same --data, or "
                         "choose another --out.")
    found = {}
    with alone(folder.path):
        for stage in (stage for stage in stages if stage != "best - last"):
            name = checkpoint_of(stage, recipe.epochs)
            worst = worst_once(folder, recipe, data, device, name, attacks) if attacks else None
            found[stage] = values_of(measured_once(folder, recipe, data, device, name, options.attack_steps), worst)
            if recipe.probe_steps is not None:
                found[stage]["collapse"] = collapse(judged(folder.metrics(), len(data.classes)))
    return found


def collapse(history):
    """The first epoch whose probe found catastrophic overfitting, or None."""
    return next((line["epoch"] for line in history if line["catastrophic"]), None)


def measure_all(plan, missing, images, attacks, options, device):
    """{(system, seed): {"stages", "missing"}}, as `deep.experiments.comparison.rows` has it."""
    from deep.experiments.sweep import standing
    results, reasons = {}, {}
    for key, one in plan.items():  # teachers stand first
        state, stages, reason = standing(one.run, options.out), {}, None
        untaught = [f"its teacher {name} is {reasons[name]}" for name in one.teachers if reasons[name]]
        if missing[key] or untaught:
            reason = f"not run: {missing[key] or untaught[0]}"
        elif state["state"] != "finished":
            reason = f"failed: {state['reason']}" if state["state"] == "failed" else f"not run: {state['state']}"
        else:
            try:
                stages = measure(one, images, attacks, options, device)
            except ValueError as error:
                reason = f"failed: {error}"
        results[key] = {"stages": stages, "missing": reason}
        reasons[one.run.name] = reason
    return results


def trained_on(plan, missing, images, options):
    """{"trainings", "differences": {system: words}, "data": ..., "comparable": {system: bool}}, of the first seed."""
    from deep.experiments.comparison import comparable
    from deep.experiments.paper_tables import PAPER_STEPS, SYSTEMS
    from deep.experiments.table_markdown import described, deviations
    trainings, differences, data = {}, {}, {}
    beside = dict.fromkeys((name for name, _ in TABLES[options.table][1]), False)
    for (system, seed), one in plan.items():
        if seed or missing[system, seed]:
            continue
        found = images.of(one.run.recipe)
        trainings[system] = described(one.run.recipe, len(found.train))
        differences[system] = deviations(one.run.recipe, system)
        n = {split: len(getattr(found, split)) for split in ("train", "val", "test")}
        entry = data.setdefault(f"{found.name} {n}", {"name": found.name, "provenance": found.provenance, "n": n,
                                                      "systems": []})
        entry["systems"].append(system)
        if system in beside:
            beside[system] = options.attack_steps == PAPER_STEPS and comparable(
                options.scale, options.changes, SYSTEMS[system].data, found.name)
    return {"trainings": trainings, "differences": differences, "data": data, "comparable": beside}


def reported(plan, results, missing, images, attacks, options):
    """Everything that is known of the table, as plain values."""
    from deep.experiments.comparison import directions, rows
    from deep.experiments.sweep import standing
    from deep.experiments.table_markdown import caption
    from deep.runs.folder import RunFolder, commit
    from deep.training.overfitting_probe import judged
    recipe, about = next(iter(plan.values())).run.recipe, trained_on(plan, missing, images, options)
    report = {
        "table": options.table, "scale": options.scale, "changes": options.changes, "seeds": list(range(options.seeds)),
        "worst_case": list(attacks), "eval_steps": options.attack_steps, "select": recipe.select, **about,
        "rows": rows(options.table, results, about["comparable"]), "directions": directions(options.table, results),
        "histories": [], "commit": commit(), "command": command_of(options),
        "runs": [standing(one.run, options.out) | {"system": system, "seed": seed, "recipe": one.run.recipe.as_dict()}
                 | results[system, seed] for (system, seed), one in plan.items()]}
    for (system, seed), one in plan.items():
        if results[system, seed]["stages"] and one.run.recipe.probe_steps is not None:
            classes = len(images.of(one.run.recipe).classes)
            history = judged(RunFolder(Path(options.out) / one.run.name).metrics(), classes)
            report["histories"].append({"system": system, "seed": seed, "collapse": collapse(history),
                                        "epochs": history})
    return report | {"caption": list(caption(report))}


def command_of(options):
    words = ["deep", "reproduce", options.table, "--scale", options.scale, "--seeds", str(options.seeds)]
    for name, values in (("--set", options.changes), ("--data", options.data)):
        words += [word for value in values for word in (name, value)]
    words += ["--worst-case", options.worst_case] if options.worst_case else []
    words += ["--attack-steps", str(options.attack_steps)] if options.attack_steps != ATTACK_STEPS else []
    return shlex.join([*words, "--out", options.out, "--device", options.device])


def write(report, options):
    """OUT/reproduce-TABLE-SCALE-HASH.json, or with -changed; the hash is of what was measured on which images."""
    from deep.experiments.checkpoint_evaluation import alone
    from deep.runs.folder import write_atomically
    changed = "-changed" if options.changes else ""
    # a report of other changes, seeds or images does not replace this one
    steps = [report["eval_steps"]] if report["eval_steps"] != ATTACK_STEPS else []
    told = json.dumps([report["changes"], report["seeds"], report["worst_case"], sorted(report["data"]), *steps])
    changed += f"-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    path = Path(options.out) / f"reproduce-{options.table}-{options.scale}{changed}.json"
    text = json.dumps(report, indent=1) + "\n"
    with alone(path.parent):  # several processes end at once
        write_atomically(path, lambda file: file.write(text.encode()))
    tell(str(path))
