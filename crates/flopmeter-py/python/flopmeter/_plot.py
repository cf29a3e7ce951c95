"""Charts, drawn by matplotlib if it is installed."""

from __future__ import annotations

from typing import Any

from ._flopmeter import Chart

# Okabe and Ito's colours, in the order in which the command's pictures take them.
_COLOURS = {
    "light": ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"],
    "dark": ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442"],
}
_GROUND = {"light": ("#ffffff", "#14161a"), "dark": ("#111418", "#eceef1")}
_MARKS = ["o", "s", "D", "^", "P"]


def draw(chart: Chart, theme: str, ax: Any) -> Any:
    """The figure, or the chart itself if there is no matplotlib: a notebook shows it as SVG."""
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError:
            return chart
    facts = chart.to_dict()
    panels = facts["panels"]
    ground, ink = _GROUND[theme]
    if ax is None:
        figure, grid = pyplot.subplots(
            len(panels), 1, sharex=True, squeeze=False, figsize=(8, 2 + 3 * len(panels)), layout="constrained"
        )
        axes: list[Any] = list(grid[:, 0])
        figure.set_facecolor(ground)
    elif len(panels) > 1:
        axes = list(ax)
        figure = axes[0].figure
    else:
        figure, axes = ax.figure, [ax]
    for axis, panel in zip(axes, panels, strict=True):
        _draw_panel(axis, panel, facts["x"], theme)
    axes[0].set_title(facts["title"] + "\n" + "\n".join(facts["said"]), fontsize="medium", color=ink)
    axes[-1].set_xlabel(facts["x"]["label"], color=ink)
    if ax is None and "inline" in pyplot.get_backend():
        # A notebook shows what a cell returns, and would show what is open once more.
        pyplot.close(figure)
    return figure


def _draw_panel(axis: Any, panel: dict[str, Any], x: dict[str, Any], theme: str) -> None:
    ground, ink = _GROUND[theme]
    axis.set_facecolor(ground)
    axis.tick_params(colors=ink, which="both")
    axis.grid(True, alpha=0.3)
    axis.set_ylabel(panel["y"]["label"], color=ink)
    for scale, which in ((x["scale"], axis.set_xscale), (panel["y"]["scale"], axis.set_yscale)):
        if scale == "doublings":
            which("log", base=2)
        elif scale == "decades":
            which("log")
    for series in panel["series"]:
        xs, ys = zip(*series["points"], strict=True)
        colour = _COLOURS[theme][series["colour"] % 5]
        mark = _MARKS[series["colour"] % 5]
        look = {"line": "-", "dashes": "--", "bare": "-", "point": "none"}[series["look"]]
        shown = "none" if series["look"] == "bare" else mark
        axis.plot(xs, ys, linestyle=look, marker=shown, color=colour, label=series["name"])
    if panel["from"] is not None:
        at, what = panel["from"]
        axis.axvline(at, linestyle=":", color=ink, label=what)
    legend = axis.legend(facecolor=ground, labelcolor=ink, fontsize="small")
    legend.get_frame().set_alpha(0.6)
