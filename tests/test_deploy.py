"""What runs Buoy elsewhere: the wheel is whole, the image and its friends keep their rules and their schemas.

No image is built here: nothing on a developer's machine or in CI runs a container. hadolint reads the Dockerfile, the
steps of its RUN lines are taken one by one where they can be (the wheel), and the rest is pinned.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from buoy.faces.unit import STOP_SPARE_S
from buoy.settings import SETTINGS, Shutdown

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
ENVIRONMENT = {row.env for row in SETTINGS} | {"QQ_CLIENT_SECRET_FILE"}


def run(*command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, cwd=ROOT, **more)


# --- the wheel ---


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    tracked = run("git", "ls-files", "src").stdout.split()
    assert held == {name.removeprefix("src/") for name in tracked}
    kinds = {Path(name).suffix for name in held}
    assert {".py", ".sql", ".service", ".typed"} <= kinds


def test_the_wheel_works_without_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    there = tmp_path / "site"
    done = run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", there, wheel)
    assert done.returncode == 0, done.stderr
    environ = {"PYTHONPATH": str(there), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    (tmp_path / "buoy.toml").write_text('[[bots]]\napp_id = "1"\nclient_secret = "not-so-secret"\n')
    program = "import buoy; print(buoy.__file__); import buoy.faces.main as m; m.main()"
    for words in (["--version"], ["install", "--user", "--print", "-c", str(tmp_path / "buoy.toml")]):
        told = run(sys.executable, "-P", "-c", program, *words, env=environ)
        assert told.returncode == 0, told.stderr
        assert told.stdout.startswith(str(there)), "the one that was installed"


# --- the image ---

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def steps(name: str) -> list[str]:
    """The arguments of each instruction of the final stage with this name."""
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    return re.findall(rf"^{name} (.*)$", joined[joined.rindex("\nFROM ") :], re.MULTILINE)


def test_hadolint_finds_no_fault() -> None:
    done = run(BIN / "hadolint", "--failure-threshold", "info", "Dockerfile")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_hadolint_would_find_one(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.replace("WORKDIR /data", "WORKDIR data"))
    assert run(BIN / "hadolint", tmp_path / "Dockerfile").returncode != 0


def test_the_image_is_nobodys_root_and_keeps_its_data_outside() -> None:
    (user,) = steps("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user), "a number, which runAsNonRoot can check"
    assert DOCKERFILE.rindex("\nUSER") > DOCKERFILE.rindex("\nCOPY"), "what is copied stays root's"
    assert steps("VOLUME") == ["/data"]
    assert steps("WORKDIR") == ["/data"]
    assert "BUOY_DATA_DIR=/data" in steps("ENV")[0]
    assert steps("STOPSIGNAL") == ["SIGTERM"]
    assert (steps("ENTRYPOINT"), steps("CMD")) == (['["buoy"]'], ['["run"]']), "exec form: signals reach it"
    (check,) = steps("HEALTHCHECK")
    assert check.endswith('CMD ["buoy", "status"]')


def test_the_image_has_the_python_that_the_tests_run_with_and_locked_packages_only() -> None:
    (floor,) = re.findall(r'requires-python = ">=(.+?)"', (ROOT / "pyproject.toml").read_text())
    assert re.findall(r"^ARG PYTHON=(.*)$", DOCKERFILE, re.MULTILINE) == [floor]
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"python:${PYTHON}-slim"}
    for install in re.findall(r"pip install (.*)", DOCKERFILE):
        assert "--require-hashes" in install or "--no-index" in install, install


def test_the_lock_of_the_image_has_every_dependency_and_agrees_with_the_one_of_the_tests() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9_.-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))

    image, tests = pins("image.lock"), pins("dev.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    for one in wanted:
        name = re.match(r"[A-Za-z0-9_.-]+", one)
        assert name is not None
        assert name[0].lower() in image, one
    assert image.items() <= tests.items(), "what is shipped is what is tested"
    assert pins("build.lock")["hatchling"] == tests["hatchling"]


def test_the_build_context_holds_what_is_copied_and_no_more() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert sorted(kept) == sorted({part for line in copied for part in line.split()})
    tracked = run("git", "ls-files").stdout.split()
    for path in kept:
        assert any(fnmatch(name, f"{path}*") for name in tracked), path


def test_no_secret_is_baked_in() -> None:
    text = DOCKERFILE + (ROOT / "compose.yaml").read_text()
    assert not re.search(r"CLIENT_SECRET[ =:]+(?!_FILE)[^\s/$]", text)
    assert "ARG" not in re.sub(r"^ARG PYTHON=.*$", "", DOCKERFILE, flags=re.MULTILINE)


# --- compose ---


def test_compose_keeps_its_schema_and_our_rules() -> None:
    done = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    service = document["services"]["buoy"]
    assert service["restart"] == "unless-stopped"
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["healthcheck"]["test"] == ["CMD", "buoy", "status"]
    assert service["volumes"] == ["data:/data"]
    assert float(service["stop_grace_period"].rstrip("s")) >= Shutdown().deadline_s + STOP_SPARE_S
    assert service["environment"]["QQ_CLIENT_SECRET_FILE"] == "/run/secrets/client_secret"
    assert set(service["environment"]) <= ENVIRONMENT


def test_a_broken_compose_file_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  buoy:\n    restrat: always\n")
    done = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(tmp_path / "compose.yaml"))
    assert done.returncode != 0


# --- Kubernetes ---

KUBERNETES = ROOT / "deploy" / "kubernetes.yaml"


def documents() -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(KUBERNETES.read_text())}


def test_kubernetes_takes_every_document() -> None:
    done = run(BIN / "kubernetes-validate", "--strict", KUBERNETES)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert told.count("passed") == len(documents()) == 3


def test_a_broken_document_would_be_found(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(KUBERNETES.read_text().replace("readinessProbe:", "readynessProbe:"))
    assert run(BIN / "kubernetes-validate", "--strict", broken).returncode != 0


def test_kubernetes_runs_one_pod_that_is_restarted_for_its_own_faults_only() -> None:
    spec = documents()["StatefulSet"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["replicas"] == 1, "two with one AppID take the connection from each other"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert pod["terminationGracePeriodSeconds"] >= Shutdown().deadline_s + STOP_SPARE_S
    (uid,) = {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")}
    assert steps("USER") == [f"{uid}:{uid}"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    environ = {one["name"]: one for one in container["env"]}
    assert environ["BUOY_LISTEN"]["value"] == "0.0.0.0:8765"
    assert container["ports"] == [{"name": "web", "containerPort": 8765}]
    assert not any("secret" in str(one.get("value", "")) for name, one in environ.items() if not name.endswith("_FILE"))
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    assert mounts == {"/data", "/secrets", "/tmp"}
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    keys = documents()["Secret"]["stringData"]
    named = {item["key"] for volume in pod["volumes"] if "secret" in volume for item in volume["secret"]["items"]}
    assert named | {"app-id"} == keys.keys()
    assert all(value.startswith("REPLACE-") for value in keys.values()), json.dumps(keys)
