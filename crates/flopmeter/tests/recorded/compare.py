"""What moved between a frozen recording and the same case counted now, for people to read.

Versions alone are no movement. `moved` gives a line for each thing that did:

>>> frozen = {"parameters": {"total": 10}, "config": {"transformers_version": "1", "kind": "a"}, "runs": [
...     {"batch": 2, "passes": [{"past": 0, "new": 5, "total": 12, "components": {"head": 4, "mlp": 8}}]}]}
>>> now = {"parameters": {"total": 12}, "config": {"transformers_version": "2", "bias": False}, "runs": [
...     {"batch": 2, "passes": [{"past": 0, "new": 5, "total": 15, "components": {"head": 4, "mlp": 11}}]}]}
>>> print(*moved(frozen, now), sep="\\n")
config.bias: absent → false
config.kind: "a" → absent
parameters.total: 10 → 12 (+2, +20.0 %)
batch 2, pass 1 of 0 + 5: total 12 → 15 (+3, +25.0 %), mlp 8 → 11 (+3, +37.5 %)
"""

import json

ABSENT = object()


def shown(value):
    return "absent" if value is ABSENT else json.dumps(value, ensure_ascii=False)


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool)


def are_names(value):
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def movement(name, frozen, now):
    """One thing that moved; counts also by how much."""
    if are_names(frozen) and are_names(now) and set(frozen) != set(now):
        changes = [("new", set(now) - set(frozen)), ("gone", set(frozen) - set(now))]
        return f"{name} " + "; ".join(f"{what} {', '.join(sorted(names))}" for what, names in changes if names)
    if not (is_count(frozen) and is_count(now)):
        return f"{name} {shown(frozen)} → {shown(now)}"
    share = f", {100 * (now - frozen) / frozen:+.1f} %" if frozen else ""
    return f"{name} {frozen:,} → {now:,} ({now - frozen:+,}{share})"


def leaves(value, path=""):
    """Every value of nested objects by its path; a list is one value."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    found = {}
    for key, inner in value.items():
        if key != "transformers_version":
            found |= leaves(inner, f"{path}.{key}" if path else key)
    return found


def keys(name, frozen, now):
    frozen, now = leaves(frozen, name), leaves(now, name)
    for path in sorted(frozen.keys() | now.keys()):
        pair = frozen.get(path, ABSENT), now.get(path, ABSENT)
        if pair[0] != pair[1]:
            yield movement(f"{path}:", *pair)


def passes(case):
    """The counts of each pass, by what its run is of (the batch, and whatever else it states) and by its lengths."""
    counts = {}
    for run in case.get("runs", []):
        stated = [f"{key} {shown(value) if value is not True else ''}".strip()
                  for key, value in run.items() if key != "passes"]
        lengths = " + ".join(str(length) for length in [run["passes"][0]["past"], *(it["new"] for it in run["passes"])])
        for at, it in enumerate(run["passes"], 1):
            counts[f"{', '.join(stated)}, pass {at} of {lengths}"] = {"total": it["total"], **it["components"]}
    return counts


def moved(frozen, now):
    """A line for each thing that moved: what was given, keys of the config, parameters, passes."""
    for name in sorted((frozen.keys() | now.keys()) - {"versions", "runs"}):
        yield from keys(name, frozen.get(name, ABSENT), now.get(name, ABSENT))
    frozen, now = passes(frozen), passes(now)
    for name in list(dict.fromkeys([*frozen, *now])):
        if name not in now or name not in frozen:
            yield f"{name}: {'no longer run' if name in frozen else 'not run before'}"
            continue
        was, counts = frozen[name], now[name]
        lines = [movement(part, was.get(part, ABSENT), counts.get(part, ABSENT))
                 for part in dict.fromkeys([*was, *counts]) if was.get(part) != counts.get(part)]
        if lines:
            yield f"{name}: {', '.join(lines)}"
