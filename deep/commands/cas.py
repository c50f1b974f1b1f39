"""`deep cas`: class correlation, CAS and its variants of a run."""

import json

from deep.commands.common import add_run_options, heading, opened, outcome_of, positive

__all__ = ["add", "run"]


def add(commands):
    cas = commands.add_parser("cas", help="class correlation, CAS and its variants of a run")
    cas.add_argument("--attack-seeds", type=int, default=3, help="attacks behind the interval (default: 3)")
    add_run_options(cas)


def run(options):
    from deep.attribution import class_correlation
    from deep.evaluate import attributions, cas_interval
    folder, recipe, data, device, names = opened(options)
    positive("--attack-seeds", options.attack_seeds)
    results = []
    for name in names:
        outcomes = []
        for seed in range(options.attack_seeds):
            model, attack, outcome = outcome_of(folder, recipe, data, device, name, options.attack_steps, seed)
            outcomes.append(outcome)
        weight = model.linear.weight.detach().cpu()
        values = attributions(outcomes[0], weight)
        values["cas_interval"] = cas_interval(outcomes, weight)
        values["correlation"] = class_correlation(outcomes[0].features, outcomes[0].labels, weight).tolist()
        results.append(heading(folder, recipe, data, attack, name) | {"classes": list(data.classes)} | values)
        folder.write_json(f"cas-{name}.json", results[-1])
    if options.json:
        print(json.dumps(results))
        return
    for result in results:
        print_result(result)


def print_result(result):
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
