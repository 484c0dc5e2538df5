#!/usr/bin/env python3
"""Add up what tests/run did: its own notes, and meson's testlog.json of each build.

A program that says how many tests it ran counts as that many: Check's and
unittest's last lines are understood. "SKIP: reason" on a line of its own is a
skipped test. The last line printed is "N passed, N failed, N skipped".
"""
import collections
import json
import pathlib
import re
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in [^\n]*\n+(?:OK|FAILED)(?: \((.*)\))?", re.M)
SKIP = re.compile(r"^SKIP: (.+)$", re.M)
SKIPPED_IN_UNITTEST = re.compile(r"\.\.\. skipped ['\"](.+)['\"]$", re.M)
SKIPPED_WHOLE = re.compile(r"^setUp(?:Class|Module) .*\.\.\. skipped ['\"]", re.M)  # unittest ran none of these


def inside(text):
    """(passed, failed, reasons for skips) as told by the program's own output, or None."""
    reasons = SKIP.findall(text)
    checks = CHECK.findall(text)
    if checks:
        ran = sum(int(c[0]) for c in checks)
        bad = sum(int(c[1]) + int(c[2]) for c in checks)
        return max(ran - bad - len(reasons), 0), bad, reasons
    ran = UNITTEST.findall(text)
    if ran:
        total = sum(int(count) for count, _ in ran)
        told = [re.search(word + r"=(\d+)", rest) for _, rest in ran for word in ("failures", "errors")]
        bad = sum(int(m.group(1)) for m in told if m)
        skipped = sum(int(m.group(1)) for _, rest in ran if (m := re.search(r"skipped=(\d+)", rest)))
        reasons += SKIPPED_IN_UNITTEST.findall(text)
        reasons += ["no reason given"] * (skipped - len(reasons))
        whole = len(SKIPPED_WHOLE.findall(text))
        return max(total - bad - len(reasons) + whole, 0), bad, reasons
    return None


def one_test(row):
    """(passed, failed, reasons for skips) of one line of testlog.json."""
    text = row.get("stdout", "") + "\n" + row.get("stderr", "")
    if row["result"] == "SKIP":
        lines = [line for line in text.splitlines() if line.strip()]
        return 0, 0, SKIP.findall(text) or [lines[-1] if lines else "no reason given"]
    told = inside(text)
    if row["result"] in ("OK", "EXPECTEDFAIL"):
        return told if told and told[1] == 0 else (1, 0, [])
    return (told[0], max(told[1], 1), told[2]) if told else (0, 1, [])


def main():
    passed, failed, skipped = 0, [], []
    for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
        result, message = line.split("\t", 1)
        passed += result == "passed"
        if result == "failed":
            failed.append((1, message))
        elif result == "skipped":
            skipped.append(message)
    for path in map(pathlib.Path, sys.argv[2:]):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            name = f"{path.stem}: {row['name']}"
            ok, bad, reasons = one_test(row)
            passed += ok
            if bad:
                failed.append((bad, f"{name} ({row['result']})"))
            skipped += [f"{name}: {reason}" for reason in reasons]
    for message, times in collections.Counter(skipped).items():
        print("skipped:", message, f"({times} times)" if times > 1 else "")
    for _, message in failed:
        print("FAILED:", message)
    bad = sum(count for count, _ in failed)
    print(f"{passed} passed, {bad} failed, {len(skipped)} skipped")
    return 1 if bad or not passed else 0


sys.exit(main())
