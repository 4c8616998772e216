"""What the console of a machine says of the tests, and whether that was expected."""

import fnmatch
import re

TEST = re.compile(r"^test +(?:\[(?P<kind>.*?)\] +)?(?P<name>\S+)(?: - should panic)?\s+\.\.\. (?P<verdict>ok|FAILED|ignored)\b")
# Where tests run one at a time, what a test prints comes between its name and its verdict; the list
# at the end has the names of those that failed.
LISTED = re.compile(r"^    (?P<name>\S+)$")
SKIPPED = re.compile(r"skipped: (?P<name>\S+): (?P<reason>.*)")
HANGS = re.compile(r"^test (?P<name>.*) hangs: ")


def read_expected(path):
    """The failures that are known: (kernel, ring, binary::test) patterns, each with its reason."""
    expected = []
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            kernel, ring, test, reason = line.split(None, 3)
            expected.append(((kernel, ring, test), reason))
    return expected


class Binary:
    """What one test binary, or one program, said on one ring."""

    def __init__(self, name, ring):
        self.name, self.ring = name, ring
        self.passed, self.failed, self.skipped = set(), {}, {}
        self.seconds = 0.0

    def read(self, lines, status, seconds):
        self.seconds += seconds
        saw_tests = hung = is_list = False
        for line in lines:
            is_list = line == "failures:" or (is_list and (not line or bool(LISTED.match(line))))
            if is_list and (found := LISTED.match(line)):
                self.failed.setdefault(found["name"], reason_of(lines, found["name"]))
            if found := TEST.match(line):
                saw_tests = True
                name = found["name"]
                if found["verdict"] == "ok":
                    self.passed.add(name)
                elif found["verdict"] == "FAILED":
                    self.failed[name] = reason_of(lines, name)
                else:
                    self.skipped[name] = found["kind"] or "ignored"
            if found := HANGS.match(line):
                hung = True
                self.failed[found["name"]] = line
            elif found := SKIPPED.search(line):
                self.skipped.setdefault(found["name"], found["reason"])
        # Not those that say so themselves and then return.
        self.passed -= self.skipped.keys() | self.failed.keys()
        if saw_tests and status == 0:
            return
        if not saw_tests and status == 0:
            self.passed.add(self.name)
        elif not saw_tests or (status != 101 and not hung):
            self.failed[self.name] = f"ended with status {status}: {' / '.join(lines[-4:])}"


def reason_of(lines, name):
    """The first lines that a failed test printed."""
    heading = f"---- {name} "
    for number, line in enumerate(lines):
        if line.startswith(heading):
            return " / ".join(it for it in lines[number + 1 : number + 8] if it)[:500]
    return ""


class Run:
    """One boot of one kernel."""

    def __init__(self, series, console, seconds):
        self.series, self.seconds = series, seconds
        self.release, self.binaries, self.is_over = "?", {}, False
        lines, self.warnings = [], []
        for line in console.splitlines():
            words = line.split()
            if line.startswith("@@ kernel "):
                self.release = words[2]
            elif line.startswith("@@ begin "):
                lines = []
            elif line.startswith("@@ end dmesg"):
                self.warnings = [it for it in lines if it]
            elif line.startswith("@@ end "):
                name, ring, status, before, after = words[2:]
                binary = self.binaries.setdefault((name, ring), Binary(name, ring))
                binary.read(lines, int(status), float(after) - float(before))
            elif line.startswith("@@ done"):
                self.is_over = True
            else:
                lines.append(line)

    def failures(self, expected):
        """Each failed test, its text, and the reason if it was expected (or None)."""
        for binary in self.binaries.values():
            for name, text in binary.failed.items():
                test = name if name == binary.name else f"{binary.name}::{name}"
                why = [reason for pattern, reason in expected if self.fits(pattern, binary.ring, test)]
                yield binary.ring, test, text, (why or [None])[0]

    def fits(self, pattern, ring, test):
        return all(map(fnmatch.fnmatchcase, (self.series, ring, test), pattern))

    def is_as_expected(self, expected):
        return self.is_over and not self.warnings and all(it[3] for it in self.failures(expected))

    def report(self, expected):
        """Prints the failures of this kernel, and what it was expected to fail and passed."""
        print(f"\n== {self.series} ({self.release}), {self.seconds} s{'' if self.is_over else ': not over'}")
        for ring, test, text, reason in self.failures(expected):
            print(f"{'expected' if reason else 'FAILED'} {ring} {test}: {reason or text}")
        for binary in self.binaries.values():
            for name in sorted(binary.passed):
                test = f"{binary.name}::{name}"
                if any(self.fits(pattern, binary.ring, test) for pattern, _ in expected):
                    print(f"passed, though expected to fail: {binary.ring} {test}")
        for line in self.warnings:
            print(f"kernel: {line}")


def table(runs, expected):
    """The results as a table in Markdown: a row for each kernel, ring and binary, with sums."""
    rows = ["| kernel | ring | binary | passed | failed | expected | skipped | seconds |", "|---|---|---|--:|--:|--:|--:|--:|"]
    for run in runs:
        known = [(ring, test.split("::")[0]) for ring, test, _, reason in run.failures(expected) if reason]
        for ring in dict.fromkeys(it.ring for it in run.binaries.values()):
            sums = [0] * 4
            seconds = 0
            for binary in (it for it in run.binaries.values() if it.ring == ring):
                count = known.count((ring, binary.name))
                numbers = [len(binary.passed), len(binary.failed) - count, count, len(binary.skipped)]
                sums = [a + b for a, b in zip(sums, numbers)]
                seconds += binary.seconds
                rows.append(row(run.series, ring, binary.name, numbers, binary.seconds))
            rows.append(row(f"**{run.series}**", ring, f"**all ({run.release})**", sums, seconds))
    return "\n".join(rows)


def row(kernel, ring, binary, numbers, seconds):
    return f"| {kernel} | {ring} | {binary} | {' | '.join(map(str, numbers))} | {seconds:.0f} |"
