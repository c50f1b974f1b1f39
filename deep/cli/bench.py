"""`deep bench`: images a second of the training step and of the textbook's, and their ratio."""

import argparse
import json
from typing import Any

from deep.cli.common import Commands
from deep.cli.printing import say
from deep.system.device import positive, use_device

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    bench = commands.add_parser("bench", help="images a second of the training step, beside the textbook step's",
                                description="Times one step of adversarial training on random 32x32 images, in turn "
                                            "with the textbook step: float32, contiguous, weight gradients in the "
                                            "attack, training mode, metrics read back at each step.")
    bench.add_argument("--arch", default="preactresnet18", help="a network (default: preactresnet18)")
    bench.add_argument("--width", type=int, help="its width (default: the recipe's, 64)")
    bench.add_argument("--batch", type=int, default=128, help="images a step (default: 128)")
    bench.add_argument("--attack-steps", type=int, default=10, help="PGD steps (default: 10)")
    bench.add_argument("--set", action="append", default=[], metavar="key=value", dest="overrides",
                       help="a change to the recipe `at`, e.g. depth=28 or bf16=false")
    bench.add_argument("--repeats", type=int, default=5, help="pairs of measurements (default: 5)")
    bench.add_argument("--profile", action="store_true", help="where the time goes, by kind of kernel")
    bench.add_argument("--json", action="store_true", help="print JSON")
    bench.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    bench.add_argument("--threads", type=int, help="CPU threads (default: torch's)")


def run(options: argparse.Namespace) -> None:
    from deep.recipe.recipe import recipe_named
    positive("--attack-steps", options.attack_steps, most=1000)
    positive("--repeats", options.repeats, most=1000)
    positive("--batch", options.batch, most=10**5)
    width = [] if options.width is None else [f"width={options.width}"]
    recipe = recipe_named("at", [f"model={options.arch}", *width, f"batch={options.batch}",
                                 f"steps={options.attack_steps}", *options.overrides])
    device = use_device(options.device, options.threads)
    from deep.system.progress import stages
    from deep.training.benchmark import bench
    with stages(options.repeats + 2 + options.profile) as begin:
        result = bench(recipe, device, options.repeats, profiled=options.profile, begin=begin)
    if options.json:
        print(json.dumps(result))
    else:
        print_result(result)


def print_result(result: dict[str, Any]) -> None:
    ratio, used, peak = result["ratio"], result["utilisation"], result["peak_flops"]
    width = "" if result["width"] is None else f" of width {result['width']}"
    say(f"{result['model']}{width}, batch {result['batch']}, PGD-{result['attack_steps']}, {result['device']}, "
        f"{result['threads']} threads, torch {result['torch']}")
    say(f"  this package  {result['images_per_second']:9.1f} images/s  {100 * used['ours']:5.1f} % of peak")
    say(f"  textbook      {result['textbook_images_per_second']:9.1f} images/s  {100 * used['textbook']:5.1f} % of "
        "peak")
    say(f"  ratio         {ratio['median']:9.2f} (from {ratio['min']:.2f} to {ratio['max']:.2f} in "
        f"{result['repeats']} pairs)")
    say(f"  evaluation, CAS included, takes {100 * result['evaluation_share']:.1f} % of the training's time "
        "(50,000 images, 10,000 tested)")
    say(f"  {result['flops_per_image'] / 1e9:.2f} GFLOP an image; peak {peak['bfloat16'] / 1e9:.0f} GFLOP/s in "
        f"bfloat16, {peak['float32'] / 1e9:.0f} in float32")
    if "products_utilisation" in result:
        say(f"  while convolutions and matrix products run: {100 * result['products_utilisation']:.1f} % of peak")
    for name, rows in result.get("profile", {}).items():
        say(f"  {name}:")
        for row in rows:
            say(f"    {row['group']:24} {row['seconds']:8.3f} s  {100 * row['share']:5.1f} %")
