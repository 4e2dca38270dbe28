"""What is deployed: linted, of fields that exist, and in agreement with the package."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import version
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema
from yamllint import linter
from yamllint.config import YamlLintConfig

from sqz_nlu._version import __version__
from sqz_nlu.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = sorted((ROOT / "deploy" / "kuberay").glob("*.yaml"))
IMAGE = f"sqz-nlu-ray:{__version__}"

# Of ray.io/v1, as its API reference has them (https://ray-project.github.io/kuberay/reference/api/).
CLUSTER_FIELDS = {
    *("authOptions autoscalerOptions enableInTreeAutoscaling gcsFaultToleranceOptions headGroupSpec").split(),
    *(
        "headServiceAnnotations managedBy networkPolicy rayVersion suspend upgradeStrategy workerGroupSpecs"
    ).split(),
}
HEAD_FIELDS = {*"enableIngress headService labels rayStartParams resources serviceType template".split()}
WORKER_NEEDS = {"groupName", "minReplicas", "maxReplicas", "template"}
WORKER_FIELDS = WORKER_NEEDS | {
    *("idleTimeoutSeconds labels numOfHosts rayStartParams replicas resources scaleStrategy suspend").split()
}
JOB_FIELDS = {
    *(
        "activeDeadlineSeconds backoffLimit clusterSelector deletionStrategy entrypoint jobId managedBy"
    ).split(),
    *("entrypointNumCpus entrypointNumGpus entrypointResources metadata preRunningDeadlineSeconds").split(),
    *("rayClusterSpec runtimeEnvYAML shutdownAfterJobFinishes submissionMode submitterConfig").split(),
    *("submitterPodTemplate suspend ttlSecondsAfterFinished").split(),
}
SERVICE_FIELDS = {
    *("excludeHeadPodFromServeSvc managedBy rayClusterConfig rayClusterDeletionDelaySeconds").split(),
    *("serveConfigV2 serveService suspend upgradeStrategy").split(),
}
FIELDS = {"RayCluster": CLUSTER_FIELDS, "RayJob": JOB_FIELDS, "RayService": SERVICE_FIELDS}
CLUSTER_OF = {"RayJob": "rayClusterSpec", "RayService": "rayClusterConfig"}


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / "deploy" / name).read_text("utf-8"))


def ray_cluster(name: str) -> dict:
    manifest = read(name)
    kind = manifest["kind"]
    return manifest["spec"][CLUSTER_OF[kind]] if kind in CLUSTER_OF else manifest["spec"]


CLUSTERS = [f"kuberay/{path.name}" for path in MANIFESTS if path.name != "volume.yaml"]


@pytest.mark.parametrize("path", [ROOT / "deploy" / "serve.yaml", *MANIFESTS], ids=lambda path: path.name)
def test_the_linter_has_nothing_to_say(path):
    config = YamlLintConfig(file=str(ROOT / ".yamllint"))
    assert [str(problem) for problem in linter.run(path.read_text("utf-8"), config)] == []


@pytest.mark.parametrize("name", CLUSTERS)
def test_custom_resources_have_the_fields_of_kuberay(name):
    manifest = read(name)
    assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
    assert manifest["apiVersion"] == "ray.io/v1"
    assert set(manifest["spec"]) <= FIELDS[manifest["kind"]]
    cluster = ray_cluster(name)
    assert set(cluster) <= CLUSTER_FIELDS
    assert {"template"} <= set(cluster["headGroupSpec"]) <= HEAD_FIELDS
    for group in cluster["workerGroupSpecs"]:
        assert set(group) >= WORKER_NEEDS
        assert set(group) <= WORKER_FIELDS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@pytest.mark.parametrize("name", CLUSTERS)
def test_their_pods_are_valid_for_kubernetes_and_run_one_image(name):
    cluster = ray_cluster(name)
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
        (container,) = pod["spec"]["containers"]
        assert container["image"] == IMAGE
        (volume,) = pod["spec"]["volumes"]
        claim = read("kuberay/volume.yaml")["metadata"]["name"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim


def test_the_volume_is_valid():
    kubernetes_validate.validate(
        read("kuberay/volume.yaml"), kubernetes_validate.latest_version(), strict=True
    )


def test_ray_is_of_one_version():
    base = re.search(r"^FROM rayproject/ray:([\d.]+)-py310$", (ROOT / "deploy/Dockerfile").read_text(), re.M)
    assert {base[1], *(ray_cluster(name)["rayVersion"] for name in CLUSTERS)} == {version("ray")}


def test_the_service_serves_what_serve_yaml_says():
    config = read("serve.yaml")
    ServeDeploySchema.model_validate(config)
    served = yaml.safe_load(read("kuberay/service.yaml")["spec"]["serveConfigV2"])
    config["applications"][0]["args"]["model"] = "/data/model.tar.gz"
    assert served == config
    cluster = ray_cluster("kuberay/service.yaml")
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        ports = {
            port["name"]: port["containerPort"]
            for port in group["template"]["spec"]["containers"][0]["ports"]
        }
        assert ports["serve"] == config["http_options"]["port"]


def test_the_job_is_a_command_of_this_version():
    program, *arguments = shlex.split(read("kuberay/job.yaml")["spec"]["entrypoint"])
    assert program == "sqz-nlu"
    parsed = build_parser().parse_args(arguments)
    assert (parsed.verb, parsed.ray_address) == ("annotate", "auto")
