"""Dashboard, alerts and guide name metrics and labels that there are, and every metric has a place."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import reference
import yaml

from app.config import Settings
from app.observing.catalogue import METRICS, PROCESS, Metric
from app.observing.endpoint import PATH
from app.store.audit_records import CAUSES

EXAMPLES = reference.ROOT / "examples"
GUIDE = reference.document("observability")
KNOWN = {metric.name: metric for metric in (*METRICS, *PROCESS)}
OF_PROMETHEUS = {"instance", "job"}
"""Labels that Prometheus adds."""

dashboard: dict[str, Any] = json.loads((EXAMPLES / "grafana" / "dashboard.json").read_text("utf-8"))
alerts: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((EXAMPLES / "prometheus" / "alerts.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
scraping: dict[str, Any] = yaml.safe_load((EXAMPLES / "prometheus" / "prometheus.yaml").read_text("utf-8"))

SHOWN = {
    f"{panel['title']}, {target['refId']}": target["expr"]
    for panel in dashboard["panels"]
    for target in panel.get("targets", ())
}
ALERTED = {rule["alert"]: rule["expr"] for rule in alerts}
ASKED = dict(re.findall(r"^\| ([^|]+\?) \| `(.+)` \|$", GUIDE, re.MULTILINE))
EXPRESSIONS = {**SHOWN, **ALERTED, **ASKED}

SELECTOR = re.compile(r"\b((?:scim_bridge|process)_[a-z_]+|up\b)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


def selected(expression: str) -> list[tuple[Metric, list[tuple[str, str]]]]:
    """Each metric that is asked for, with the labels and values that are asked of it."""
    found = []
    for name, matchers in SELECTOR.findall(expression):
        labels = MATCHER.findall(matchers)
        assert len(labels) == len([part for part in re.split(r",\s*", matchers) if part])
        if name == "up":
            continue
        plain = re.sub(r"_(bucket|sum|count)$", "", name)
        metric = KNOWN[name] if name in KNOWN else KNOWN[plain]
        assert (name != metric.name) == (metric.kind == "histogram"), name
        found.append((metric, labels))
    return found


def test_there_is_something_to_check() -> None:
    assert len(SHOWN) > 30
    assert len(ALERTED) == len(alerts) > 15
    assert len(ASKED) == 3


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_expressions_ask_for_what_there_is(place: str) -> None:
    expression = EXPRESSIONS[place]
    metrics = selected(expression)
    assert metrics or "up{" in expression
    known = OF_PROMETHEUS | {"le"}
    for metric, labels in metrics:
        assert {name for name, _ in labels} <= OF_PROMETHEUS | set(metric.labels)
        known |= set(metric.labels)
    grouped = [label for names in re.findall(r"\bby \(([^)]*)\)", expression) for label in names.split(", ")]
    assert set(grouped) <= known
    for parts in re.findall(r"\b(?:rate|increase)\((\w+)", expression):
        assert re.search(r"_(total|bucket|sum|count)$", parts), "only what counts up has a rate"


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_causes_that_are_asked_for_can_occur(place: str) -> None:
    for _, labels in selected(EXPRESSIONS[place]):
        assert {value for name, value in labels if name == "cause"} <= {"", *CAUSES}
        for outcome in (part for name, value in labels if name == "outcome" for part in value.split("|")):
            assert f"`{outcome}`" in KNOWN["scim_bridge_platform_calls_total"].meaning


@pytest.mark.parametrize("rule", alerts, ids=lambda rule: rule["alert"])
def test_alerts_say_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "description"}
    told = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    grouped = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
    left = (
        set(grouped[0].split(", "))
        if grouped
        else OF_PROMETHEUS.union(*(metric.labels for metric, _ in selected(rule["expr"])))
    )
    assert told <= left


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {metric.name for expression in SHOWN.values() for metric, _ in selected(expression)}
    assert shown >= {metric.name for metric in METRICS}


def test_panels_have_places_and_names_of_their_own() -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_guide_tells_of_every_metric() -> None:
    assert reference.section("metrics", GUIDE) == reference.metrics_table()


def test_settings_that_the_guide_names_are_there() -> None:
    known = {f"SCIM_BRIDGE_{name.upper()}" for name in Settings.__struct_fields__}
    assert set(re.findall(r"SCIM_BRIDGE_[A-Z_]+", GUIDE)) <= known


def test_alerts_go_with_the_default_settings() -> None:
    assert f"> {3 * Settings().index_sweep_s:g}" in ALERTED["ScimBridgeIndexStale"]
    assert f"> {Settings().audit_queue / 2:g}" in ALERTED["ScimBridgeAuditWaits"]


def test_prometheus_looks_where_the_metrics_are() -> None:
    (job,) = scraping["scrape_configs"]
    assert job["job_name"] == "scim-bridge"
    assert 'up{job="scim-bridge"}' in ALERTED["ScimBridgeDown"]
    (names,) = job["dns_sd_configs"]
    assert names["port"] == Settings().admin_listens_at
    assert job.get("metrics_path", "/metrics") == PATH
    compose = yaml.safe_load((EXAMPLES / "compose" / "compose.yaml").read_text("utf-8"))
    assert set(names["names"]) <= compose["services"].keys()
    assert scraping["rule_files"] == ["alerts.yaml"]
