"""Reads what the benchmarks wrote down, and says whether goals were reached.

A line of results is tabs: row, contender, round, requests/s, µs of CPU a request, p50 and p99 in µs.
"""

import statistics
from collections import defaultdict

RATE, CPU, P50, P99 = range(4)


class Results:
    """The measurements of one run: values[row, contender] is a list over the rounds."""

    def __init__(self, path):
        self.values = defaultdict(list)
        self.rows = []
        with open(path, encoding="utf-8") as file:
            for line in file:
                row, contender, _, *numbers = line.rstrip("\n").split("\t")
                if row not in self.rows:
                    self.rows.append(row)
                self.values[row, contender].append([float(number) for number in numbers])

    def has(self, row, contender):
        return (row, contender) in self.values

    def column(self, row, contender, column):
        return [numbers[column] for numbers in self.values[row, contender]]

    def median(self, row, contender, column):
        return statistics.median(self.column(row, contender, column))

    def ranged(self, row, contender, column):
        """The median and, in parentheses, the least and the most of the rounds."""
        values = self.column(row, contender, column)
        return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"

    def paired(self, row, one, other, column):
        """The median of the ratios within a round, and the middle half of them: what drifts from round to round is in neither."""
        each = [a / b for a, b in zip(self.column(row, one, column), self.column(row, other, column)) if b]
        if len(each) < 2:
            return (each[0] if each else float("nan"),) * 3
        least, middle, most = statistics.quantiles(each, n=4, method="inclusive")
        return middle, least, most

    def ratio(self, row, one, other, column):
        """The ratio of the medians, and the least and the most of the ratios within a round."""
        each = [a / b for a, b in zip(self.column(row, one, column), self.column(row, other, column)) if b]
        below = self.median(row, other, column)
        return (self.median(row, one, column) / below if below else float("nan"), min(each, default=0), max(each, default=0))


def number(value):
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def size_name(size):
    size = int(size)
    return f"{size // 1048576} MB" if size >= 1048576 else f"{size // 1024} KB"


def table(head, rows):
    print()
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


class Goals:
    """Goals and what was measured; a goal over several rows is reached when its worst row reaches it."""

    def __init__(self):
        self.lines = []

    def at_least(self, text, bound, measured):
        """`measured` is pairs of a name and a figure."""
        self._add(text, min(measured, key=lambda pair: pair[1], default=None), lambda value: value >= bound)

    def at_most(self, text, bound, measured):
        self._add(text, max(measured, key=lambda pair: pair[1], default=None), lambda value: value <= bound)

    def _add(self, text, worst, reached):
        if worst is None:
            self.lines.append([text, "–", "not measured"])
            return
        name, value = worst
        self.lines.append([text, f"{value:.3g} ({name})", "yes" if reached(value) else "**no**"])

    def print(self):
        table(["Goal", "Measured (where it is worst)", "Reached"], self.lines)
