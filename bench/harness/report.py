"""Results as a table for people, and as JSON."""

import json


def megabytes(value):
    return "" if value is None else f"{value / 1e6:.0f}"


def number(value):
    return "" if value is None else str(value)


COLUMNS = (("CASE", lambda name, run, plain: name),
           ("WALL s", lambda name, run, plain: f"{run.wall:.2f}"),
           ("CPU s", lambda name, run, plain: f"{run.cpu:.2f}"),
           ("MB/s", lambda name, run, plain: f"{plain / run.wall / 1e6:.0f}" if plain else ""),
           ("PEAK MB", lambda name, run, plain: megabytes(run.peak)),
           ("READ MB", lambda name, run, plain: megabytes(run.read)),
           ("CHANGED MB", lambda name, run, plain: megabytes(run.changed)),
           ("STORED MB", lambda name, run, plain: megabytes(run.stored)),
           ("OBJECTS", lambda name, run, plain: number(run.objects)),
           ("REQUESTS", lambda name, run, plain: number(run.requests)),
           ("OTHERS %", lambda name, run, plain: f"{100 * run.others:.0f}"),
           ("ALL RUNS s", None))


def table(rows):
    """Lines of aligned columns; the first column is text, the others are numbers."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        yield "  ".join(cells).rstrip()


def group_lines(title, results, plain):
    """`results`: (name, median, all runs) of each case."""
    rows = [[heading for heading, _ in COLUMNS]]
    for name, middle, runs in results:
        cells = [cell(name, middle, plain) for _, cell in COLUMNS[:-1]]
        rows.append(cells + [" ".join(f"{run.wall:.2f}" for run in runs)])
    used = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    return [f"\n{title}"] + list(table([[row[i] for i in used] for row in rows]))


def as_json(machine, data_set, groups):
    def fields(run):
        values = {"wall_seconds": round(run.wall, 4), "cpu_seconds": round(run.cpu, 3), "peak_bytes": run.peak,
                  "others_share": round(run.others, 3),
                  "read_bytes": run.read, "changed_bytes": run.changed,
                  "stored_bytes": run.stored, "objects": run.objects, "requests": run.requests}
        return {name: value for name, value in values.items() if value is not None}
    return json.dumps({"schema": 1, "machine": machine, "data_set": data_set, "groups": {
        title: {name: {"median": fields(middle), "runs": [fields(run) for run in runs]}
                for name, middle, runs in results} for title, results in groups.items()}}, indent=1)
