"""The examples for container engines, as documents and as what kubelet makes of them."""

import copy

import yaml

from support.program import ROOT

COMPOSE = ROOT / ".github/examples/compose.yaml"
KUBERNETES = ROOT / ".github/examples/kubernetes.yaml"
EXECUTABLE = "/usr/bin/hermes-init"


def compose():
    return yaml.safe_load(COMPOSE.read_text())


def kubernetes():
    """Returns the documents of the manifest by their kind."""
    return {document["kind"]: document for document in yaml.safe_load_all(KUBERNETES.read_text())}


def template():
    """Returns the specification of a pod, and of its only container."""
    specification = kubernetes()["StatefulSet"]["spec"]["template"]["spec"]
    [container] = specification["containers"]
    return specification, container


def variables(container):
    """Returns the environment of a container of the manifest."""
    return {variable["name"]: variable["value"] for variable in container["env"]}


def pod(ordinal, image, *, without=(), **more):
    """Returns the pod number `ordinal` that Kubernetes makes of the StatefulSet, as `podman kube play` can have it: podman has no
    StatefulSet, and no kubelet that makes volumes and runs probes. So both volumes are volumes of podman named after the pod, and the
    probes are not in it. `without` are capabilities, `more` variables."""
    whole = kubernetes()["StatefulSet"]
    name = f"{whole['metadata']['name']}-{ordinal}"
    specification = copy.deepcopy(whole["spec"]["template"]["spec"])
    [container] = specification["containers"]
    for started in (*specification.get("initContainers", ()), container):
        started["image"] = image
    for probe in ("startupProbe", "readinessProbe"):
        del container[probe]
    container["env"] += [{"name": key, "value": value} for key, value in more.items()]
    added = container["securityContext"]["capabilities"]["add"]
    container["securityContext"]["capabilities"]["add"] = [word for word in added if word not in without]
    specification["volumes"] = [
        {"name": mount["name"], "persistentVolumeClaim": {"claimName": f"{mount['name']}-{name}"}} for mount in container["volumeMounts"]
    ]
    metadata = {"name": name, "labels": whole["spec"]["template"]["metadata"]["labels"]}
    # podman 4.3 fails where it removes an init container that has not quite ended.
    metadata["annotations"] = {"io.podman.annotations.init.container.type": "always"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": specification}
