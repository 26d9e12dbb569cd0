"""The plot: time of a boot pass over the number of profiles."""

from bench.cases import OURS, REFERENCE, TRUE
from bench.measure import spread
from bench.report import shown

COLOURS = {OURS: "tab:blue", REFERENCE: "tab:orange"}
LINES = {"fresh": "-", "settled": "--"}


def draw(found, path):
    """Draws it, or returns why that is not possible."""
    try:
        import matplotlib
    except ImportError as error:
        return str(error)
    matplotlib.use("svg")
    from matplotlib import pyplot, ticker

    # The same figures make the same file.
    matplotlib.rcParams["svg.hashsalt"] = "hermes-init"
    figure, axes = pyplot.subplots(figsize=(8, 5.5), layout="constrained")
    names = [name for name in (OURS, REFERENCE) if name in found["reconcile"][0]["times"]]
    for name in names:
        for kind, line in LINES.items():
            rows = [row for row in found["reconcile"] if row["kind"] == kind]
            spreads = [[seconds * 1e3 for seconds in spread(row["times"][name]["seconds"])] for row in rows]
            middle = [one[0] for one in spreads]
            axes.errorbar(
                [row["profiles"] for row in rows],
                middle,
                yerr=[[one[0] - one[1] for one in spreads], [one[2] - one[0] for one in spreads]],
                color=COLOURS[name],
                linestyle=line,
                marker="o",
                markersize=4,
                capsize=3,
                label=f"{name}, {'no slots yet' if kind == 'fresh' else 'all slots as wanted'}",
            )
            axes.annotate(
                f"{shown(middle[-1])} ms", (rows[-1]["profiles"], middle[-1]), textcoords="offset points", xytext=(8, -3), fontsize=8
            )
    floor = spread(found["start-up"][TRUE]["seconds"])[0] * 1e3
    axes.axhline(floor, color="grey", linewidth=0.8, linestyle=":", label=TRUE)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="profiles",
        ylabel="milliseconds, median and quartiles",
    )
    figure.suptitle("A boot pass, by the number of profiles")
    axes.set_title(found["machine"], fontsize=8, color="grey")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
    axes.margins(x=0.16)
    axes.grid(visible=True, which="major", linewidth=0.4)
    axes.legend(fontsize=9)
    figure.savefig(path, format="svg", metadata={"Date": None})
    return None
