"""The compose file and the Kubernetes manifests agree with the container, the settings and the commands."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import typer
import yaml
from reference import ROOT

from app import __version__
from app.cli.declared import DeclaredConnection, parse_declared
from app.cli.main import app
from app.config import Settings, load_settings
from app.store.connections import Connection
from app.store.sources import utc_now
from app.store.tokens import new_secret
from app.web.contexts import BASE_PATH, resolve
from app.web.health import router

EXAMPLES = ROOT / "examples"
TOKEN_PATH = "/oauth/token"
COMPOSE = EXAMPLES / "compose"
KUBERNETES = EXAMPLES / "kubernetes"
YAML_FILES = sorted(EXAMPLES.rglob("*.yaml"))
TEXTS = sorted(p for place in (COMPOSE, KUBERNETES) for p in place.rglob("*") if p.is_file())
CONTAINERFILE = (ROOT / "Containerfile").read_text("utf-8")
IMAGE = "scim-bridge"
SECRET_NAME = re.compile(r"SECRET|PASSWORD|TOKEN|DATABASE_URL")

services: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))["services"]
manifests: list[dict[str, Any]] = [
    document
    for file in YAML_FILES
    if KUBERNETES in file.parents
    for document in yaml.safe_load_all(file.read_text("utf-8"))
]
kustomization: dict[str, Any] = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))


def manifest(kind: str, name: str = IMAGE) -> Any:
    """The one manifest of a kind and a name."""
    (found,) = (m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name)
    return found


def pods() -> Iterator[tuple[str, Any]]:
    """Every pod's specification, with its owner's name."""
    for each in manifests:
        if "template" in each.get("spec", {}):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


POD = dict(pods())
SERVER = POD["scim-bridge"]["containers"][0]
APPLY = POD["scim-bridge-apply"]["containers"][0]


def environment(container: Any) -> dict[str, str]:
    """A container's variables, with those of its generated ConfigMaps."""
    found = {entry["name"]: entry["value"] for entry in container.get("env", ())}
    for source in container.get("envFrom", ()):
        (made,) = (
            m for m in kustomization["configMapGenerator"] if m["name"] == source["configMapRef"]["name"]
        )
        found |= dict(literal.split("=", 1) for literal in made["literals"])
    return found


def mounted(pod: Any) -> set[str]:
    """The paths of all files that a pod's first container finds."""
    generated = {
        made["name"]: [Path(file).name for file in made.get("files", ())]
        for kind in ("configMapGenerator", "secretGenerator")
        for made in kustomization[kind]
    }
    files: dict[str, list[str]] = {}
    for volume in pod["volumes"]:
        source = volume.get("secret") or volume.get("configMap")
        if source:
            keys = generated[source.get("secretName") or source["name"]]
            chosen = source.get("items", [{"key": key, "path": key} for key in keys])
            assert {item["key"] for item in chosen} <= set(keys)
            files[volume["name"]] = [item["path"] for item in chosen]
    return {
        str(PurePosixPath(mount["mountPath"]) / file)
        for mount in pod["containers"][0]["volumeMounts"]
        for file in files.get(mount["name"], ())
    }


def compose_files(service: Any) -> set[str]:
    """The paths of all files that a service's containers find."""
    secrets = {f"/run/secrets/{name}" for name in service.get("secrets", ())}
    return secrets | {volume.split(":")[1] for volume in service.get("volumes", ())}


DEPLOYMENTS = {
    "compose": (services["bridge"]["environment"], compose_files(services["bridge"])),
    "compose apply": (services["apply"]["environment"], compose_files(services["apply"])),
    "kubernetes": (environment(SERVER), mounted(POD["scim-bridge"])),
    "kubernetes apply": (environment(APPLY), mounted(POD["scim-bridge-apply"])),
}


def image_settings() -> dict[str, str]:
    """The variables that the image sets."""
    return dict(re.findall(r"(SCIM_BRIDGE_\w+)=(\S+)", CONTAINERFILE.split("\nENV ")[1].split("\nVOLUME")[0]))


def test_there_is_something_to_check() -> None:
    assert {file.relative_to(EXAMPLES).as_posix() for file in YAML_FILES} >= {
        "compose/compose.yaml",
        "kubernetes/bridge.yaml",
        "kubernetes/postgresql/postgresql.yaml",
    }
    for place in (KUBERNETES, KUBERNETES / "postgresql"):
        resources = yaml.safe_load((place / "kustomization.yaml").read_text("utf-8"))["resources"]
        assert set(resources) == {f.name for f in place.glob("*.yaml")} - {"kustomization.yaml"}


@pytest.mark.parametrize("file", YAML_FILES, ids=lambda f: f.relative_to(EXAMPLES).as_posix())
def test_every_file_is_yaml(file: Path) -> None:
    documents = list(yaml.safe_load_all(file.read_text("utf-8")))
    assert documents
    assert all(isinstance(each, dict) for each in documents)


@pytest.mark.parametrize("file", [*TEXTS, EXAMPLES / "README.md"], ids=lambda f: f.name)
def test_every_variable_is_a_setting(file: Path) -> None:
    known = {f"SCIM_BRIDGE_{name.upper()}" for name in Settings.__struct_fields__}
    named = re.findall(r"SCIM_BRIDGE_[A-Z_]+", file.read_text("utf-8"))
    assert {name.removesuffix("_FILE") for name in named} <= known


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_the_settings_are_ones_a_bridge_starts_with(deployment: str, tmp_path: Path) -> None:
    given, files = DEPLOYMENTS[deployment]
    values = {}
    for name, value in {**image_settings(), **given}.items():
        filled = re.sub(r"\$\{SCIM_HOST[^}]*\}", "scim.example.com", value)
        filled = re.sub(r"\$\{SCIM_BRIDGE_PLATFORM_URL[^}]*\}", "https://platform.example.com", filled)
        if name.endswith("_FILE"):
            assert value in files
            secret = tmp_path / PurePosixPath(value).name
            secret.write_text("postgresql+asyncpg://h/d\n")
            filled = str(secret)
        values[name] = filled
    settings = load_settings(values)
    assert settings.database_url == "postgresql+asyncpg://h/d"
    assert settings.embedded == deployment.endswith("apply")
    if not settings.embedded:
        assert settings.scim_url == f"https://scim.example.com{BASE_PATH}"


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_every_command_is_one(deployment: str) -> None:
    commands = {
        "compose": re.findall(r'"(\w+)"', CONTAINERFILE.split("\nCMD ")[1]),
        "compose apply": services["apply"]["command"],
        "kubernetes": SERVER["args"],
        "kubernetes apply": APPLY["args"],
    }
    assert 'ENTRYPOINT ["scim-bridge"]' in CONTAINERFILE
    command, words = typer.main.get_command(app), list(commands[deployment])
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    # Arguments and options are parsed; nothing runs.
    parameters = command.make_context("scim-bridge", words).params
    if deployment.endswith("apply"):
        assert str(parameters["file"]) in DEPLOYMENTS[deployment][1]
        assert parameters["file"].name == "connections.toml"


@pytest.mark.parametrize(("place", "deployment"), [(COMPOSE, "compose"), (KUBERNETES, "kubernetes")])
def test_the_declared_connections_can_be_applied(place: Path, deployment: str) -> None:
    asked: set[str] = set()

    def read(path: Path) -> str:
        asked.add(str(path))
        return new_secret()

    file = place / "connections.toml"
    for each in parse_declared(file.read_text("utf-8"), file, {}, read):
        assert resolve(connection(each), "", None).tenant_id == each.tenant_id
        assert len(each.tokens) == 2
    assert asked
    assert asked <= DEPLOYMENTS[f"{deployment} apply"][1]


def connection(declared: DeclaredConnection) -> Connection:
    return Connection(
        id="",
        name=declared.name,
        tenant_id=declared.tenant_id,
        mapping=declared.mapping,
        domain=declared.domain,
        dialect=declared.dialect,
        policies=declared.policies,
        created_at=utc_now(),
    )


def test_one_image() -> None:
    assert f"build -t {IMAGE} " in CONTAINERFILE
    for name in ("apply", "bridge"):
        assert services[name]["image"] == IMAGE
        build = services[name]["build"]
        assert (COMPOSE / build["context"] / build["dockerfile"]).resolve() == ROOT / "Containerfile"
    assert (SERVER["image"], APPLY["image"]) == (IMAGE, IMAGE)
    (published,) = kustomization["images"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert (published["name"], published["newTag"]) == (IMAGE, version)
    assert version == __version__


def test_one_user() -> None:
    uid = re.search(r"--uid (\d+)", CONTAINERFILE)
    assert uid
    assert f"\nUSER {uid[1]}:{uid[1]}\n" in CONTAINERFILE
    for name in ("scim-bridge", "scim-bridge-apply"):
        context = POD[name]["securityContext"]
        assert context["runAsUser"] == context["fsGroup"] == int(uid[1])


def test_one_port() -> None:
    port = image_settings()["SCIM_BRIDGE_PORT"]
    assert f"EXPOSE {port} " in CONTAINERFILE
    assert services["bridge"]["expose"][0] == port
    caddyfile = (COMPOSE / "Caddyfile").read_text("utf-8")
    assert re.search(rf"name bridge\s+port {port}\b", caddyfile)
    (exposed,) = (each for each in SERVER["ports"] if each["name"] == "http")
    assert exposed["containerPort"] == int(port)
    (served,) = manifest("Service")["spec"]["ports"]
    assert served["targetPort"] == exposed["name"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert SERVER[probe]["httpGet"]["port"] == exposed["name"]


def test_operators_have_a_port_that_is_not_published() -> None:
    port = load_settings({}).admin_listens_at
    assert services["bridge"]["expose"][1:] == [str(port)]
    assert "ports" not in services["bridge"]
    assert str(port) not in (COMPOSE / "Caddyfile").read_text("utf-8")
    assert {"name": "admin", "containerPort": port} in SERVER["ports"]
    assert [each["targetPort"] for each in manifest("Service")["spec"]["ports"]] == ["http"]
    for deployment in ("compose", "kubernetes"):
        assert DEPLOYMENTS[deployment][0]["SCIM_BRIDGE_ADMIN_HOST"] == "0.0.0.0"  # noqa: S104 - within a network
    annotations = manifest("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": "/metrics",
    }


def test_proxies_let_scim_through_and_nothing_else() -> None:
    assert f"@scim path {BASE_PATH} {BASE_PATH}/* {TOKEN_PATH}\n" in (COMPOSE / "Caddyfile").read_text(
        "utf-8"
    )
    ingress = manifest("Ingress")["spec"]
    (rule,) = ingress["rules"]
    paths = rule["http"]["paths"]
    assert [(p["path"], p["pathType"]) for p in paths] == [(BASE_PATH, "Prefix"), (TOKEN_PATH, "Exact")]
    for path in paths:
        assert path["backend"]["service"]["name"] == manifest("Service")["metadata"]["name"]
        assert path["backend"]["service"]["port"]["name"] == manifest("Service")["spec"]["ports"][0]["name"]
    assert environment(SERVER)["SCIM_BRIDGE_PUBLIC_URL"] == f"https://{rule['host']}{BASE_PATH}"
    assert ingress["tls"][0]["hosts"] == [rule["host"]]


def test_probes_are_paths_of_the_bridge() -> None:
    served = {route.path for route in router.routes}
    assert SERVER["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert SERVER["startupProbe"]["httpGet"]["path"] == "/health/live"
    assert SERVER["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert {SERVER[p]["httpGet"]["path"] for p in ("livenessProbe", "readinessProbe")} <= served
    # The readiness check itself gives the database two seconds.
    assert SERVER["readinessProbe"]["timeoutSeconds"] > 2


def test_two_replicas_of_which_one_always_stays() -> None:
    assert services["bridge"]["deploy"]["replicas"] == 2
    deployment = manifest("Deployment")["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    labels = deployment["template"]["metadata"]["labels"]
    budget = manifest("PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] == 1
    applying = manifest("Job", "scim-bridge-apply")["spec"]["template"]["metadata"]["labels"]
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    for selector in (
        deployment["selector"]["matchLabels"],
        budget["selector"]["matchLabels"],
        manifest("Service")["spec"]["selector"],
        spread["labelSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
        assert not selector.items() <= applying.items()


def test_there_is_time_to_shut_down() -> None:
    graceful_s = Settings().shutdown_delay_s + Settings().shutdown_timeout_s
    pre_stop_s = int(SERVER["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert POD["scim-bridge"]["terminationGracePeriodSeconds"] >= pre_stop_s + graceful_s + 5
    assert int(services["bridge"]["stop_grace_period"].removesuffix("s")) >= graceful_s + 5


@pytest.mark.parametrize("name", POD)
def test_pods_may_do_little(name: str) -> None:
    pod = POD[name]
    assert pod["automountServiceAccountToken"] is False
    # Or a Service named scim-bridge sets SCIM_BRIDGE_PORT to a URL, with which the bridge does not start.
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
    for volume in pod["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] == 0o440


def test_containers_of_the_compose_file_may_do_little() -> None:
    for name in ("apply", "bridge", "prometheus", "proxy"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def test_no_secret_is_written_down() -> None:
    for file in [*TEXTS, EXAMPLES / "README.md"]:
        text = file.read_text("utf-8")
        assert not re.search(r"scb_[A-Za-z0-9_-]{20}", text), file
        assert not re.search(r"://[^:/\s]+:(?!\$\(cat |password@)[^@\s]+@", text), file
    assert not [each for each in manifests if each["kind"] == "Secret"]
    for file in KUBERNETES.rglob("kustomization.yaml"):
        for made in yaml.safe_load(file.read_text("utf-8"))["secretGenerator"]:
            assert set(made) == {"name", "files"}
            assert all(key.startswith("secrets/") for key in made["files"])
    given = [service.get("environment", {}) for service in services.values()]
    given += [environment(container) for pod in POD.values() for container in pod["containers"]]
    named = [name for variables in given for name in variables if SECRET_NAME.search(name)]
    assert len(named) > 5
    assert [name for name in named if not name.endswith("_FILE")] == []


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout")
@pytest.mark.parametrize(
    "path",
    [
        "compose/.env",
        "compose/secrets/okta-a",
        "kubernetes/secrets/x",
        "kubernetes/postgresql/secrets/password",
    ],
)
def test_secrets_are_not_committed(path: str) -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "-q", f"examples/{path}"], cwd=ROOT, check=False
    ).returncode
    assert ignored == 0


def test_the_commands_that_the_examples_name_exist() -> None:
    text = (EXAMPLES / "README.md").read_text("utf-8")
    root = typer.main.get_command(app)
    named = re.findall(r"\bscim-bridge (connection|token|mapping) (\w+)", text)
    assert ("token", "generate") in named
    for group, word in named:
        assert word in root.commands[group].commands  # type: ignore[attr-defined]
