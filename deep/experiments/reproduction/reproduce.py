"""Reproduce a table of the paper: train its runs, evaluate their checkpoints, and report them beside its numbers."""

import hashlib
import json
from contextlib import chdir, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from deep.evaluation.accuracy import evaluation_attack
from deep.evaluation.battery import rounds_of
from deep.experiments.checkpoint_evaluation import cas_once, measurement_lock, worst_case_once
from deep.experiments.measured import Checkpoint
from deep.experiments.reproduction.comparison import comparable, directions, rows, stage_values
from deep.experiments.reproduction.data_sets import DataSets
from deep.experiments.reproduction.paper_tables import (
    COMMON_EPS,
    EPS_TABLES,
    PAPER_STEPS,
    SYSTEMS,
    TABLES,
    PlannedRun,
    checkpoint_of,
)
from deep.experiments.reproduction.table_markdown import caption, deviations, training_in_words
from deep.experiments.sweep import Run, clear_failures, run_status, train_remaining, train_run
from deep.runs.fingerprint import differing_splits
from deep.runs.folder import RunFolder
from deep.system.files import commit, write_text
from deep.system.messages import tell
from deep.system.progress import training_progress
from deep.training.overfitting_probe import judged

__all__ = ["Reproduction", "write_report"]


@dataclass
class Reproduction:
    """One table of the paper at one scale, as it is asked for.

    plan: `paper_tables.plan_runs` of the table, the scale, the number of seeds and the changes.
    out: the folder of the run folders. attack_steps: of the PGD that evaluates. worst_case: names of attacks, for a
    column with the worst case over them; () for none. missing: {(system, seed): why its images cannot be loaded}.
    """

    table: str
    scale: str
    seeds: int
    changes: list[str]
    plan: dict[tuple[str, int], PlannedRun]
    out: Path
    data_sets: DataSets
    attack_steps: int
    worst_case: tuple[str, ...] = ()
    missing: dict[tuple[str, int], str | None] = field(init=False)

    def __post_init__(self) -> None:
        """Load the images. ValueError if there are none at all, or an attack is unknown: nothing is trained then."""
        self.missing = {key: self.data_sets.error(planned.run.recipe) for key, planned in self.plan.items()}
        if all(self.missing.values()):
            raise ValueError(next(iter(self.missing.values())))
        for planned in self.available():
            data = self.data_sets.load(planned.run.recipe)
            for name in self.worst_case:
                rounds_of(name, evaluation_attack(planned.run.recipe, data.box), len(data.classes))

    def available(self) -> list[PlannedRun]:
        """Return the runs whose images can be loaded."""
        return [planned for key, planned in self.plan.items() if not self.missing[key]]

    def folder(self, planned: PlannedRun) -> RunFolder:
        """Return the run folder of a planned run."""
        return RunFolder(self.out / planned.run.name)

    def report(self, command: str) -> dict[str, Any]:
        """Train and evaluate what is not yet there, and return all that is known of the table, as plain values.

        command: the command line that asks for it, for the reader of the report.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        self.train()
        return self.summary(self.results(), command)

    # --- training ---

    def train(self) -> None:
        """Train what is neither finished nor another process's, teachers first; evaluate each run as it finishes."""
        available = self.available()
        clear_failures([planned.run for planned in available], self.out)
        by_name = {planned.run.name: planned for planned in available}

        def train_and_evaluate(run: Run) -> str:
            return self.train_run(by_name[run.name])

        train_remaining([planned.run for planned in available if not planned.teachers], self.out, train_and_evaluate)
        finished = {planned.run.name for planned in available
                    if run_status(planned.run, self.out)["state"] == "finished"}
        taught = [planned.run for planned in available if planned.teachers and finished >= set(planned.teachers)]
        train_remaining(taught, self.out, train_and_evaluate)

    def train_run(self, planned: PlannedRun) -> str:
        """Train one run, evaluate it if it is finished then, and return its state as `train_run` has it."""
        run, before = planned.run, run_status(planned.run, self.out)
        tell(f"{run.name} ({', '.join(run.words)}): "
             + (f"continued after epoch {before['epoch']}" if before["epoch"] else "begun"))
        location = self.data_sets.location(run.recipe)
        # a teacher is named by its run alone, which is found in OUT
        with chdir(self.out), training_progress(run.recipe) as progress:
            state, reason = train_run(run, Path("."), location, self.data_sets.device, progress)
        tell(f"{run.name}: {state}" + (f": {reason}" if reason else ""))
        if state == "finished":
            with suppress(ValueError):  # `results` comes by again, and says so in the table
                self.evaluate(planned)
        return state

    # --- evaluation ---

    def evaluate(self, planned: PlannedRun) -> dict[str, dict[str, Any]]:
        """Return {stage: values} of a finished run; ValueError if a checkpoint is missing or the images are others."""
        stages = dict(TABLES[self.table][1]).get(planned.system, ())
        folder, recipe = self.folder(planned), planned.run.recipe
        data = self.data_sets.load(recipe)
        if stages and differing_splits(folder.model_state("last"), data):
            raise ValueError(f"{folder.path} was trained on other images than {data.name}: give it the same --data, "
                             "or choose another --out.")
        found = {}
        with measurement_lock(folder.path):
            for stage in (stage for stage in stages if stage != "best - last"):
                checkpoint = Checkpoint(recipe, data, self.data_sets.device, checkpoint_of(stage, recipe.epochs),
                                        folder)
                worst = worst_case_once(checkpoint, self.worst_case) if self.worst_case else None
                alike = replace(checkpoint, eps=Fraction(COMMON_EPS)) if self.table in EPS_TABLES else None
                common = cas_once(alike, self.attack_steps) if alike else None
                found[stage] = stage_values(cas_once(checkpoint, self.attack_steps), worst, common)
                if recipe.probe_steps is not None:
                    found[stage]["collapse"] = collapse_epoch(judged(folder.metrics(), len(data.classes)))
        return found

    def results(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Return {(system, seed): {"stages", "missing"}}, as `comparison.rows` takes it."""
        results = {}
        reasons: dict[str, str | None] = {}  # why each run has no results, by its name
        for key, planned in self.plan.items():  # teachers stand first
            stages, reason = {}, self.obstacle(key, planned, reasons)
            if reason is None:
                try:
                    stages = self.evaluate(planned)
                except ValueError as error:
                    reason = f"failed: {error}"
            results[key] = {"stages": stages, "missing": reason}
            reasons[planned.run.name] = reason
        return results

    def obstacle(self, key: tuple[str, int], planned: PlannedRun, reasons: dict[str, str | None]) -> str | None:
        """Return why a run cannot be evaluated, or None; reasons: the same of its teachers, by their names."""
        status = run_status(planned.run, self.out)
        untaught = [f"its teacher {name} is {reasons[name]}" for name in planned.teachers if reasons[name]]
        if self.missing[key] or untaught:
            return f"not run: {self.missing[key] or untaught[0]}"
        if status["state"] == "finished":
            return None
        return f"failed: {status['reason']}" if status["state"] == "failed" else f"not run: {status['state']}"

    # --- the report ---

    def trainings(self) -> dict[str, Any]:
        """Return {"trainings", "differences": {system: words}, "data", "comparable": {system: bool}}, of seed 0."""
        trainings, differences = {}, {}
        data_sets: dict[str, dict[str, Any]] = {}
        beside = dict.fromkeys((name for name, _ in TABLES[self.table][1]), False)
        for (system, seed), planned in self.plan.items():
            if seed or self.missing[system, seed]:
                continue
            recipe = planned.run.recipe
            data = self.data_sets.load(recipe)
            trainings[system] = training_in_words(recipe, len(data.train))
            differences[system] = deviations(recipe, system)
            n = {split: len(getattr(data, split)) for split in ("train", "val", "test")}
            entry = data_sets.setdefault(f"{data.name} {n}", {"name": data.name, "provenance": data.provenance,
                                                              "n": n, "systems": []})
            entry["systems"].append(system)
            if system in beside:
                beside[system] = self.attack_steps == PAPER_STEPS and comparable(
                    self.scale, self.changes, SYSTEMS[system].data, data.name)
        return {"trainings": trainings, "differences": differences, "data": data_sets, "comparable": beside}

    def histories(self, results: dict[tuple[str, int], dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the metrics by epoch of each run with a probe for catastrophic overfitting."""
        histories = []
        for (system, seed), planned in self.plan.items():
            recipe = planned.run.recipe
            if results[system, seed]["stages"] and recipe.probe_steps is not None:
                history = judged(self.folder(planned).metrics(), len(self.data_sets.load(recipe).classes))
                histories.append({"system": system, "seed": seed, "collapse": collapse_epoch(history),
                                  "epochs": history})
        return histories

    def summary(self, results: dict[tuple[str, int], dict[str, Any]], command: str) -> dict[str, Any]:
        """Return everything that is known of the table, as plain values."""
        recipe, about = next(iter(self.plan.values())).run.recipe, self.trainings()
        report = {
            "table": self.table, "scale": self.scale, "changes": self.changes, "seeds": list(range(self.seeds)),
            "worst_case": list(self.worst_case), "eval_steps": self.attack_steps, "select": recipe.select, **about,
            "rows": rows(self.table, results, about["comparable"]), "directions": directions(self.table, results),
            "histories": self.histories(results), "commit": commit(), "command": command,
            "runs": [run_status(planned.run, self.out)
                     | {"system": system, "seed": seed, "recipe": planned.run.recipe.as_dict()}
                     | results[system, seed] for (system, seed), planned in self.plan.items()]}
        return report | {"caption": list(caption(report))}


def collapse_epoch(history: list[dict[str, Any]]) -> int | None:
    """Return the first epoch whose probe found catastrophic overfitting, or None."""
    return next((line["epoch"] for line in history if line["catastrophic"]), None)


def write_report(report: dict[str, Any], out: Path, usual_steps: int) -> Path:
    """Write OUT/reproduce-TABLE-SCALE[-changed]-HASH.json and return its path.

    The hash is of what was measured on which images: a report of other changes, seeds or images does not replace
    this one. usual_steps: the attack steps that are not part of it.
    """
    steps = [report["eval_steps"]] if report["eval_steps"] != usual_steps else []
    measured = json.dumps([report["changes"], report["seeds"], report["worst_case"], sorted(report["data"]), *steps])
    name = f"{report['table']}-{report['scale']}" + ("-changed" if report["changes"] else "")
    path = out / f"reproduce-{name}-{hashlib.sha256(measured.encode()).hexdigest()[:8]}.json"
    with measurement_lock(out):  # several processes end at once
        write_text(path, json.dumps(report, indent=1) + "\n")
    return path
