"""Bars of several servers' medians, as an SVG file that needs nothing else."""

from __future__ import annotations

from jinja2 import Environment

ROW, BAR, LEFT, WIDTH = 30, 15, 20, 760
COLOURS = ("#0b7a75", "#d97706", "#b91c1c", "#6d5bd0", "#999999")

TEMPLATE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{ width }} {{ height }}"
  font-family="system-ui, sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="20" y="24" font-size="15" font-weight="600">{{ title }}</text>
{% for group in groups %}
<text x="20" y="{{ group.y }}" fill="#333333">{{ group.name }}</text>
{% for bar in group.bars %}
<rect x="20" y="{{ bar.y }}" width="{{ bar.width }}" height="12" rx="2" fill="{{ bar.colour }}"/>
<text x="{{ bar.width + 26 }}" y="{{ bar.y + 10 }}" font-size="11" fill="#333333"
  >{{ bar.text }}</text>
{% endfor %}
{% endfor %}
</svg>
"""


def svg(title: str, medians: dict[str, dict[str, float]]) -> str:
    """A group of bars for each scenario that more than one of the servers has: name -> medians."""
    names = list(medians)
    shared = [s for s in medians[names[0]] if sum(s in row for row in medians.values()) > 1]
    groups, y = [], 50
    for scenario in shared:
        present = [name for name in names if scenario in medians[name]]
        most = max(medians[name][scenario] for name in present)
        bars = [
            {
                "y": y + 7 + i * BAR,
                "width": round(max(2, (WIDTH - 300) * medians[name][scenario] / most)),
                "colour": COLOURS[names.index(name)],
                "text": f"{medians[name][scenario]:,.4g} {name}",
            }
            for i, name in enumerate(present)
        ]
        groups.append({"name": scenario, "y": y, "bars": bars})
        y += len(bars) * BAR + ROW
    template = Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE)
    return template.render(title=title, groups=groups, width=WIDTH, height=y)
