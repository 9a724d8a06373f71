#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does each suite have teeth?  Every mutant of mutants.toml changes one line of the library, and the suite that it
names must fail with it, and pass without.

    planted.py --source DIR --work DIR [--each N [--seed S]] [--only NAME ...] [--others] [--list]

--work: a folder for the mutated tree and its build; made anew each time.
--each: N of each area, drawn by the seed, instead of all.
--others: each mutant that has `only` is shown to every catcher of every other suite, too, once.

  caught    NAME by SUITE in S s
  SURVIVED  NAME: nobody noticed
  ONLY      NAME: SUITE notices, and so many catchers of other suites do not; and of how many of these the program is
            the same without the mutant (a memory order that x86 gives anyhow), so that nothing was to be run
  ALSO      NAME by CATCHER: SUITE is not the only one
  named     NAME: equivalent, and why it can be

The last line says how many; exit status 1 if one survived, did not apply or did not build.
"""

import argparse
import collections
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

SECONDS = 300      # for a catcher without a mutant, or where nothing is to be noticed: a slow machine is no catcher
TIMES = 5          # one that takes so many times as long as without has noticed something: it hangs
SECONDS_LEAST = 30
MARK = "made-by-planted"  # a folder with it may be removed
COPIED = ("src", "include", "tests", "meson.build", "meson_options.txt")


def say(text):
    print(text, flush=True)


def load(source):
    with open(source / "tests/planted/mutants.toml", "rb") as file:
        listed = tomllib.load(file)
    return listed["catcher"], listed["mutant"]


def copy_tree(source, build):
    """The library and its tests, apart from the checkout that they mutate."""
    tree = build / "tree"
    shutil.rmtree(build, ignore_errors=True)
    tree.mkdir(parents=True)
    (build / MARK).touch()
    for name in COPIED:
        if (source / name).is_dir():
            shutil.copytree(source / name, tree / name)
        else:
            shutil.copy2(source / name, tree / name)
    return tree


def configure(tree, build):
    options = ["-Dcli=disabled", "-Dexamples=disabled", "-Dbench=disabled"]
    done = subprocess.run(["meson", "setup", str(build / "b"), str(tree), *options], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)


def compile_target(build, target):
    done = subprocess.run(["ninja", "-C", str(build / "b"), target], capture_output=True, text=True)
    return None if done.returncode == 0 else done.stdout[-3000:] + done.stderr


def in_private(command):
    """With a /dev/shm of its own, where that is allowed: a crashed test leaves its maps behind."""
    private = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/shm && exec "$@"', "sh"]
    try:
        allowed = subprocess.run([*private, "true"], capture_output=True).returncode == 0
    except OSError:
        allowed = False
    return [*private, *command] if allowed else command


def fails(build, catcher, seconds=SECONDS, attempt=1):
    """Run a catcher.  None: it passed; else how it failed."""
    arguments = [argument.replace("{try}", str(attempt)) for argument in catcher.get("arguments", [])]
    command = [str(build / "b" / catcher["target"]), *arguments]
    env = dict(os.environ, SCENE_SECONDS=str(seconds))
    process = subprocess.Popen(in_private(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=build,
                               start_new_session=True)
    try:
        process.communicate(timeout=seconds + 1)
        how = None if process.returncode == 0 else f"status {process.returncode}"
    except subprocess.TimeoutExpired:
        how = "it hangs"
    try:
        os.killpg(process.pid, signal.SIGKILL)  # whoever is left of it
    except ProcessLookupError:
        pass
    process.wait()
    return how


def apply(tree, mutant):
    """The file's text, with the one place changed.  None: there is no such place, or more than one."""
    text = (tree / mutant["file"]).read_text()
    return text.replace(mutant["line"], mutant["to"]) if text.count(mutant["line"]) == 1 else None


def try_mutant(tree, build, catchers, mutant, seconds):
    """(caught, text)"""
    name, catcher = mutant["name"], catchers[mutant["caught_by"]]
    mutated, path = apply(tree, mutant), tree / mutant["file"]
    original = path.read_text()
    path.write_text(mutated)
    try:
        problem = compile_target(build, catcher["target"])
        if problem:
            return False, f"LOST      {name}: does not build\n{problem}"
        began = time.monotonic()
        for attempt in range(1, catcher.get("tries", 1) + 1):
            how = fails(build, catcher, seconds, attempt)
            if how:
                return True, f"caught    {name} by {mutant['caught_by']}: {how}, {time.monotonic() - began:.0f} s"
        return False, f"SURVIVED  {name}: {mutant['caught_by']} passes"
    finally:
        path.write_text(original)


def suite_of(catcher):
    return catcher["target"].split("/")[1]


def digest(build, target):
    """Of all that the processor gets of a program and of the shared library: no symbols, no lines, no build id."""
    summed = hashlib.sha256()
    for path in (build / "b" / target, *sorted((build / "b").glob("libshoal.so.*.*.*"))):
        if path.is_dir():
            continue
        with tempfile.NamedTemporaryFile() as bare:
            subprocess.run(["objcopy", "--strip-all", "--remove-section", ".note.gnu.build-id", str(path), bare.name],
                           check=True)
            summed.update(pathlib.Path(bare.name).read_bytes())
    return summed.digest()


def same_programs(tree, build, catchers, mutant, names, before):
    """Those whose program the mutant does not change."""
    path = tree / mutant["file"]
    original, mutated = path.read_text(), apply(tree, mutant)
    path.write_text(mutated)
    try:
        built = [n for n in names if compile_target(build, catchers[n]["target"]) is None]
        return {n for n in built if digest(build, catchers[n]["target"]) == before[n]}
    finally:
        path.write_text(original)


def try_others(tree, build, catchers, mutant, before):
    """True: no catcher of another suite than the one that `only` names notices."""
    others = sorted(n for n, c in catchers.items() if suite_of(c) != mutant["only"])
    same = same_programs(tree, build, catchers, mutant, others, before)
    once = {name: dict(catchers[name], tries=1) for name in others}
    for name in sorted(set(others) - same):
        noticed, text = try_mutant(tree, build, once, dict(mutant, caught_by=name), SECONDS)
        if noticed or text.startswith("LOST"):
            say(f"ALSO      {mutant['name']} by {name}: {text}")
            return False
    say(f"ONLY      {mutant['name']}: {mutant['only']} notices, {len(others)} catchers of other suites do not, "
        f"{len(same)} of them the same program")
    return True


def drawn(mutants, each, seed):
    """So many of each area, in the order of the file."""
    draw, chosen = random.Random(seed), set()
    for area in sorted({m["area"] for m in mutants}):
        names = [m["name"] for m in mutants if m["area"] == area]
        chosen.update(draw.sample(names, min(each, len(names))))
    return [m for m in mutants if m["name"] in chosen]


def check_catchers(build, catchers, used):
    """{name: seconds that it may take with a mutant}.  Each must pass without, or it proves nothing: then None."""
    seconds = {}
    for name in sorted(used):
        problem = compile_target(build, catchers[name]["target"])
        began = time.monotonic()
        problem = problem or fails(build, catchers[name])
        if problem:
            say(f"UNSOUND   {name} fails without a mutant: {problem}")
            return None
        seconds[name] = max(SECONDS_LEAST, round(TIMES * (time.monotonic() - began)))
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--each", type=int)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    catchers, mutants = load(asked.source)
    mutants = [m for m in mutants if not asked.only or m["name"] in asked.only]
    if asked.list:
        for mutant in mutants:
            say(f"{mutant['area']:9} {mutant['name']:32} {mutant.get('caught_by', 'equivalent'):24} {mutant['why']}")
        return 0
    build = asked.work.resolve()
    if build.exists() and any(build.iterdir()) and not (build / MARK).exists():
        parser.error(f"--work {asked.work}: holds something that is not from here")
    tree = copy_tree(asked.source.resolve(), build)
    lost = [mutant for mutant in mutants if apply(tree, mutant) is None]  # also of those that are not drawn
    for mutant in lost:
        say(f"LOST      {mutant['name']}: {mutant['file']} has no such line, or several")
    if lost:
        return 1
    configure(tree, build)
    live = [m for m in mutants if "equivalent" not in m]
    listed = len(live)
    if asked.each:
        say(f"seed {asked.seed}: {asked.each} of each area")
        live = drawn(live, asked.each, asked.seed)
    used = set(catchers) if asked.others else {m["caught_by"] for m in live}
    seconds = check_catchers(build, catchers, used)
    if seconds is None:
        return 1
    before = {name: digest(build, catchers[name]["target"]) for name in used} if asked.others else {}
    caught, areas = 0, collections.Counter()
    for mutant in live:
        done, text = try_mutant(tree, build, catchers, mutant, seconds[mutant["caught_by"]])
        if asked.others and "only" in mutant:
            done &= try_others(tree, build, catchers, mutant, before)
        caught += done
        areas[mutant["area"]] += done
        say(text)
    for mutant in mutants:
        if "equivalent" in mutant:
            say(f"named     {mutant['name']}: {mutant['equivalent']}")
    per_area = ", ".join(f"{n} in {area}" for area, n in sorted(areas.items()))
    say(f"planted: {len(live)} of {listed} mutants, {caught} caught ({per_area}), {len(live) - caught} not")
    return 0 if caught == len(live) else 1


if __name__ == "__main__":
    sys.exit(main())
