"""`deep evaluate`: clean and robust accuracy of a run, with n and intervals."""

import json

from deep.commands.common import add_run_options, heading, opened, outcome_of

__all__ = ["add", "run"]


def add(commands):
    add_run_options(commands.add_parser("evaluate", help="clean and robust accuracy of a run, with n and intervals"))


def run(options):
    from deep.evaluate import accuracy
    folder, recipe, data, device, names = opened(options)
    results = []
    for name in names:
        _, attack, outcome = outcome_of(folder, recipe, data, device, name, options.attack_steps, 0)
        results.append(heading(folder, recipe, data, attack, name)
                       | {"clean": accuracy(outcome.clean), "robust": accuracy(outcome.robust)})
        folder.write_json(f"evaluate-{name}.json", results[-1])
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
