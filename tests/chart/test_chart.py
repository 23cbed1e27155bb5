"""What the chart renders, from values to objects. HELM names the helm to render with."""
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "charts/banyan"
HELM = os.environ.get("HELM", "helm")
RELEASE, NAMESPACE = "larch", "grove"


def helm(*words):
    return subprocess.run([HELM, *words], capture_output=True, text=True, timeout=120)


@functools.cache
def objects(*values, kubernetes="1.34.0", release=RELEASE):
    """Objects by (kind, name); every value is a --set-json."""
    sets = [word for value in values for word in ("--set-json", value)]
    done = helm("template", release, str(CHART), "--namespace", NAMESPACE, "--kube-version", kubernetes, *sets)
    if done.returncode:
        raise AssertionError(done.stderr)
    found = {}
    for document in yaml.safe_load_all(done.stdout):
        if document:
            key = (document["kind"], document["metadata"]["name"])
            assert key not in found, f"{key} twice"
            found[key] = document
    return found


def refused(*values, kubernetes="1.34.0"):
    """What helm says instead of rendering."""
    sets = [word for value in values for word in ("--set-json", value)]
    done = helm("template", RELEASE, str(CHART), "--kube-version", kubernetes, *sets)
    assert done.returncode, f"{values} were accepted"
    return done.stderr


def one(found, kind, name=RELEASE):
    return found[(kind, name)]


def pod_of(found, kind="Deployment", name=RELEASE):
    workload = one(found, kind, name)
    return workload["spec"]["template"]["spec"] if kind == "Deployment" else workload["spec"]


def environment(found):
    [container] = pod_of(found)["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def source(path):
    return (ROOT / path).read_text()


class Objects(unittest.TestCase):
    def test_the_defaults_make_these_objects_and_no_others(self):
        self.assertEqual(
            sorted(objects()),
            sorted(
                [
                    ("CustomResourceDefinition", "contentservers.banyan.media"),
                    ("CustomResourceDefinition", "streamtopologies.banyan.media"),
                    ("ServiceAccount", "larch"),
                    ("ClusterRole", "grove-larch"),
                    ("ClusterRoleBinding", "grove-larch"),
                    ("ClusterRole", "grove-larch-token-review"),
                    ("ClusterRoleBinding", "grove-larch-token-review"),
                    ("ClusterRole", "grove-larch-viewer"),
                    ("ClusterRole", "grove-larch-editor"),
                    ("Role", "grove-larch-lease"),
                    ("RoleBinding", "grove-larch-lease"),
                    ("Deployment", "larch"),
                    ("Service", "larch"),
                    ("PodDisruptionBudget", "larch"),
                    ("NetworkPolicy", "larch"),
                    ("Pod", "larch-test"),
                ]
            ),
        )

    def test_every_object_has_the_recommended_labels_and_the_common_ones(self):
        for (kind, name), found in objects('commonLabels={"team":"video"}').items():
            labels = found["metadata"]["labels"]
            for key in ("name", "instance", "version", "component", "part-of", "managed-by"):
                self.assertIn(f"app.kubernetes.io/{key}", labels, f"{kind} {name}")
            self.assertEqual(labels["team"], "video")

    def test_switches_switch(self):
        monitors = {("ServiceMonitor", "larch"), ("PodMonitor", "larch-members")}
        for value, less, more in [
            ("crds.enabled=false", {(kind, name) for kind, name in objects() if kind == "CustomResourceDefinition"}, set()),
            ("networkPolicy.enabled=false", {("NetworkPolicy", "larch")}, set()),
            ("operator.replicas=1", {("PodDisruptionBudget", "larch")}, set()),
            ("operator.podDisruptionBudget.enabled=false", {("PodDisruptionBudget", "larch")}, set()),
            ("rbac.aggregate=false", {("ClusterRole", "grove-larch-viewer"), ("ClusterRole", "grove-larch-editor")}, set()),
            ("rbac.create=false", {key for key in objects() if "Role" in key[0]}, set()),
            ('serviceAccount={"create":false,"name":"fir"}', {("ServiceAccount", "larch")}, set()),
            ('metrics={"serviceMonitor":{"enabled":true},"podMonitor":{"enabled":true}}', set(), monitors),
        ]:
            with self.subTest(value):
                self.assertEqual(set(objects(value)), (set(objects()) - less) | more)

    def test_releases_of_one_name_in_two_namespaces_do_not_meet(self):
        for kind, name in objects():
            if kind.startswith("ClusterRole"):
                self.assertTrue(name.startswith(f"{NAMESPACE}-{RELEASE}"), name)

    def test_crds_are_those_of_the_sources_and_outlive_the_release(self):
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            made = yaml.safe_load(path.read_text())
            found = objects()[("CustomResourceDefinition", made["metadata"]["name"])]
            self.assertEqual(found["spec"], made["spec"])
            self.assertEqual(found["metadata"]["annotations"], {"helm.sh/resource-policy": "keep"})
            removed = objects("crds.keep=false")[("CustomResourceDefinition", made["metadata"]["name"])]
            self.assertNotIn("annotations", removed["metadata"])

    def test_images_are_registry_name_and_digest_or_tag(self):
        version = re.search(r'^version = "(.*)"', source("Cargo.toml"), re.M).group(1)
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual(chart["appVersion"], version)
        digest = "sha256:" + "0123456789abcdef" * 4
        for values, expected in [
            ((), f"banyan-relay:{version}"),
            (('imageRegistry="pines:5000/a"',), f"pines:5000/a/banyan-relay:{version}"),
            (('imageRegistry="pines/"', 'relay.image.tag="7"'), "pines/banyan-relay:7"),
            (('relay.image.tag="7"', f'relay.image.digest="{digest}"'), f"banyan-relay@{digest}"),
        ]:
            self.assertEqual(environment(objects(*values))["BANYAN_RELAY_IMAGE"], expected)
        self.assertEqual(environment(objects('origin.image.tag="8"'))["BANYAN_ORIGIN_IMAGE"], "banyan-origin:8")
        [container] = pod_of(objects('operator.image.tag="9"'))["containers"]
        self.assertEqual(container["image"], "banyan-operator:9")
        named = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
        self.assertEqual([image["image"] for image in named], [f"banyan-{name}:{version}" for name in ("operator", "relay", "origin")])

    def test_the_examples_of_artifact_hub_are_of_the_kinds_it_lists(self):
        annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
        listed = {crd["kind"] for crd in yaml.safe_load(annotations["artifacthub.io/crds"])}
        shown = {example["kind"] for example in yaml.safe_load(annotations["artifacthub.io/crdsExamples"])}
        made = {yaml.safe_load(path.read_text())["spec"]["names"]["kind"] for path in (ROOT / "crds").glob("*.yaml")}
        self.assertEqual((listed, shown), (made, made))


class Pods(unittest.TestCase):
    def test_pods_are_restricted(self):
        for pod in (pod_of(objects()), pod_of(objects(), "Pod", "larch-test")):
            self.assertFalse({"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(pod))
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in pod["containers"]:
                context = container["securityContext"]
                self.assertIs(context["allowPrivilegeEscalation"], False)
                self.assertIs(context["readOnlyRootFilesystem"], True)
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                for part in ("requests", "limits"):
                    self.assertEqual(set(container["resources"][part]), {"cpu", "memory", "ephemeral-storage"})

    def test_the_environment_is_what_the_operator_takes(self):
        declared = {}
        for block in re.findall(r"#\[arg\(([^]]*)\)\]\s+pub \w+: ([^,\n]+),", source("operator/src/args.rs")):
            name = re.search(r'env = "(\w+)"', block[0])
            if name:
                declared[name.group(1)] = "default_value" not in block[0] and not block[1].startswith("Option")
        self.assertGreater(len(declared), 8)
        given = {name for name in environment(objects()) if name.startswith("BANYAN_")}
        every = environment(objects('watchNamespace="media"', 'leaseNamespace="leases"'))
        self.assertEqual({name for name, required in declared.items() if required} - given, set())
        self.assertEqual({name for name in every if name.startswith("BANYAN_")} - set(declared), set())
        self.assertEqual((every["BANYAN_WATCH_NAMESPACE"], every["BANYAN_LEASE_NAMESPACE"]), ("media", "leases"))
        self.assertEqual(every["BANYAN_RELEASE"], RELEASE)

    def test_ports_are_those_of_the_sources_and_members_find_the_service(self):
        constants = dict(re.findall(r"pub const (\w+)_PORT: u16 = (\d+);", source("operator/src/release.rs")))
        expected = {"grpc": int(constants["GRPC"]), "http": int(constants["HTTP"]), "metrics": int(constants["HEALTH"])}
        [container] = pod_of(objects())["containers"]
        self.assertEqual({port["name"]: port["containerPort"] for port in container["ports"]}, expected)
        service = one(objects(), "Service")
        self.assertEqual({port["name"]: port["port"] for port in service["spec"]["ports"]}, expected)
        for port in service["spec"]["ports"]:
            self.assertEqual(port["targetPort"], port["name"])
        labels = one(objects(), "Deployment")["spec"]["template"]["metadata"]["labels"]
        for key, value in service["spec"]["selector"].items():
            self.assertEqual(labels[key], value)

    def test_probes_ask_the_health_port_and_liveness_is_the_slowest(self):
        [container] = pod_of(objects())["containers"]
        probes = {name: container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
        for name, probe in probes.items():
            path = "/readyz" if name == "readiness" else "/healthz"
            self.assertEqual(probe["httpGet"], {"path": path, "port": "metrics"})
        patience = {name: probe["periodSeconds"] * probe["failureThreshold"] for name, probe in probes.items()}
        self.assertLess(patience["readiness"], patience["liveness"])

    def test_a_roll_keeps_somebody_ready_and_spreading_never_blocks_a_drain(self):
        deployment = one(objects(), "Deployment")["spec"]
        self.assertEqual(deployment["replicas"], 2)
        self.assertEqual(deployment["strategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})
        for spread in deployment["template"]["spec"]["topologySpreadConstraints"]:
            self.assertEqual((spread["whenUnsatisfiable"], spread["nodeTaintsPolicy"]), ("ScheduleAnyway", "Honor"))
        budget = one(objects(), "PodDisruptionBudget")["spec"]
        self.assertEqual((budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]), (1, "AlwaysAllow"))

    def test_settings_of_pods_arrive(self):
        taint = '[{"key":"live","operator":"Exists"}]'
        found = objects(
            'operator.nodeSelector={"disk":"fast"}', f"operator.tolerations={taint}", 'operator.priorityClassName="high"',
            'operator.imagePullSecrets=[{"name":"keys"}]', 'operator.podLabels={"a":"b"}', 'operator.podAnnotations={"c":"d"}',
            'operator.extraEnv=[{"name":"HTTP_PROXY","value":"x"}]', 'operator.affinity={"nodeAffinity":{}}',
            "operator.terminationGracePeriodSeconds=40", 'operator.log="debug"',
        )
        pod, template = pod_of(found), one(found, "Deployment")["spec"]["template"]
        self.assertEqual(pod["nodeSelector"], {"disk": "fast"})
        self.assertEqual(pod["tolerations"], [{"key": "live", "operator": "Exists"}])
        self.assertEqual(pod["priorityClassName"], "high")
        self.assertEqual(pod["imagePullSecrets"], [{"name": "keys"}])
        self.assertEqual(pod["affinity"], {"nodeAffinity": {}})
        self.assertEqual(pod["terminationGracePeriodSeconds"], 40)
        self.assertEqual(template["metadata"]["labels"]["a"], "b")
        self.assertEqual(template["metadata"]["annotations"]["c"], "d")
        self.assertEqual((environment(found)["HTTP_PROXY"], environment(found)["RUST_LOG"]), ("x", "debug"))

    def test_a_label_of_the_user_does_not_replace_a_selector_label(self):
        found = objects('operator.podLabels={"app.kubernetes.io/component":"mine"}')
        labels = one(found, "Deployment")["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(labels["app.kubernetes.io/component"], "operator")


class Rights(unittest.TestCase):
    # (group, resource) -> verbs in a watched namespace.
    RULES = {
        ("banyan.media", "contentservers"): "get list watch",
        ("banyan.media", "streamtopologies"): "get list watch",
        ("banyan.media", "contentservers/status"): "get patch",
        ("banyan.media", "streamtopologies/status"): "get patch",
        ("banyan.media", "streamtopologies/scale"): "get patch update",
        ("banyan.media", "contentservers/finalizers"): "update",
        ("banyan.media", "streamtopologies/finalizers"): "update",
        ("", "configmaps"): "create delete get list patch watch",
        ("", "serviceaccounts"): "create delete get list patch watch",
        ("", "services"): "create delete get list patch watch",
        ("", "secrets"): "create",
        ("", "pods"): "get list patch watch",
        ("", "pods/eviction"): "create",
        ("apps", "deployments"): "create delete get list patch watch",
        ("apps", "controllerrevisions"): "create delete get list patch watch",
        ("policy", "poddisruptionbudgets"): "create delete get list patch watch",
        ("networking.k8s.io", "networkpolicies"): "create delete get list patch watch",
        ("events.k8s.io", "events"): "create patch",
    }

    @staticmethod
    def rules(role):
        found = {}
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    key = (group, resource, *rule.get("resourceNames", []))
                    assert key not in found, f"{key} twice"
                    found[key] = " ".join(sorted(rule["verbs"]))
        return found

    def test_the_operators_rights_are_these_in_both_modes(self):
        self.assertEqual(self.rules(one(objects(), "ClusterRole", "grove-larch")), self.RULES)
        role = one(objects('watchNamespace="media"'), "Role", "grove-larch")
        self.assertEqual(self.rules(role), self.RULES)
        self.assertEqual(role["metadata"]["namespace"], "media")

    def test_no_right_is_a_star(self):
        for values in ((), ('watchNamespace="media"',)):
            for (kind, name), found in objects(*values).items():
                for rule in found.get("rules", []):
                    self.assertNotIn("*", rule["apiGroups"] + rule["resources"] + rule["verbs"], f"{kind} {name}")

    def test_a_namespaced_release_has_no_rights_elsewhere_but_reviews_of_tokens(self):
        found = objects('watchNamespace="media"')
        cluster = {name for kind, name in found if kind.startswith("ClusterRole")}
        self.assertEqual(cluster, {"grove-larch-token-review", "grove-larch-viewer", "grove-larch-editor"})
        self.assertEqual(self.rules(one(found, "ClusterRole", "grove-larch-token-review")), {("authentication.k8s.io", "tokenreviews"): "create"})
        bound = {name for kind, name in found if kind == "ClusterRoleBinding"}
        self.assertEqual(bound, {"grove-larch-token-review"})
        self.assertEqual(self.rules(one(found, "Role", "grove-larch-read-lease")), {("coordination.k8s.io", "leases", "banyan-operator"): "get"})

    def test_leases_lie_where_releases_of_one_scope_meet(self):
        for values, namespace in [
            ((), "kube-system"),
            (('watchNamespace="media"',), "media"),
            (('leaseNamespace="leases"',), "leases"),
            (('leaseNamespace="leases"', 'watchNamespace="media"'), "leases"),
        ]:
            role = one(objects(*values), "Role", "grove-larch-lease")
            self.assertEqual(role["metadata"]["namespace"], namespace)
            expected = {("coordination.k8s.io", "leases"): "create", ("coordination.k8s.io", "leases", "banyan-operator"): "get update"}
            self.assertEqual(self.rules(role), expected)
        self.assertNotIn(("Role", "grove-larch-read-lease"), objects('leaseNamespace="leases"', 'watchNamespace="media"'))

    def test_every_binding_names_a_role_and_the_operators_account(self):
        for values in ((), ('watchNamespace="media"',), ('serviceAccount.name="fir"',)):
            found = objects(*values)
            account = one(found, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
            self.assertIn(("ServiceAccount", account), found)
            for (kind, name), binding in found.items():
                if kind.endswith("Binding"):
                    role = one(found, binding["roleRef"]["kind"], binding["roleRef"]["name"])
                    self.assertEqual(role["metadata"].get("namespace"), binding["metadata"].get("namespace"), name)
                    [subject] = binding["subjects"]
                    self.assertEqual((subject["name"], subject["namespace"]), (account, NAMESPACE))

    def test_users_roles_are_aggregated(self):
        for name, into in [("viewer", {"view", "edit", "admin"}), ("editor", {"edit", "admin"})]:
            role = one(objects(), "ClusterRole", f"grove-larch-{name}")
            prefix = "rbac.authorization.k8s.io/aggregate-to-"
            self.assertEqual({key.removeprefix(prefix) for key in role["metadata"]["labels"] if key.startswith(prefix)}, into)
        editor = self.rules(one(objects(), "ClusterRole", "grove-larch-editor"))
        self.assertFalse([key for key in editor if key[1].endswith("/status")], "status belongs to the operator")


class Network(unittest.TestCase):
    def test_the_policy_admits_members_the_page_and_metrics_by_ports_that_exist(self):
        policy = one(objects(), "NetworkPolicy")["spec"]
        self.assertEqual(policy["policyTypes"], ["Ingress"])
        [container] = pod_of(objects())["containers"]
        names = [rule["ports"] for rule in policy["ingress"]]
        self.assertEqual(names, [[{"port": port["name"]}] for port in container["ports"]])
        members = policy["ingress"][0]["from"][0]
        self.assertEqual(members["podSelector"], {"matchLabels": {"app.kubernetes.io/managed-by": "banyan-operator"}})

    def test_members_of_other_namespaces_are_not_admitted_to_a_namespaced_release(self):
        policy = one(objects('watchNamespace="media"'), "NetworkPolicy")["spec"]
        peer = policy["ingress"][0]["from"][0]
        self.assertEqual(peer["namespaceSelector"], {"matchLabels": {"kubernetes.io/metadata.name": "media"}})

    def test_the_test_pod_may_ask_what_it_asks(self):
        policy = one(objects(), "NetworkPolicy")["spec"]
        pod = one(objects(), "Pod", "larch-test")
        [container] = pod["spec"]["containers"]
        asked = {int(re.search(r":(\d+)", word.split("://")[1]).group(1)) for word in container["args"] if "://" in word}
        self.assertEqual(asked, {7400, 8080, 8081})
        for word in container["args"][2:]:
            self.assertIn("://larch.grove.svc:", word)
        labels = pod["metadata"]["labels"]
        for rule in policy["ingress"]:
            if rule["ports"] == [{"port": "http"}]:
                continue
            selectors = [peer["podSelector"]["matchLabels"] for peer in rule["from"] if "podSelector" in peer]
            self.assertTrue(any(wanted.items() <= labels.items() for wanted in selectors), rule)


class Values(unittest.TestCase):
    def test_what_is_not_known_or_not_accepted_is_refused_with_a_sentence(self):
        for value, said in [
            ("replicas=3", "additional properties 'replicas' not allowed"),
            ("operator.replcas=3", "at '/operator': additional properties 'replcas' not allowed"),
            ("operator.image.registry=\"a\"", "at '/operator/image': additional properties 'registry' not allowed"),
            ("operator.replicas=0", "at '/operator/replicas': minimum: got 0, want 1"),
            ('operator.replicas="two"', "at '/operator/replicas': got string, want integer"),
            ('operator.image.pullPolicy="Sometimes"', "at '/operator/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"),
            ('watchNamespace="Media"', "at '/watchNamespace': 'Media' does not match pattern"),
            ('relay.image.digest="sha256:12"', "at '/relay/image/digest'"),
            ('operator.extraEnv=[{"name":"BANYAN_RELEASE","value":"x"}]', "at '/operator/extraEnv/0/name'"),
            ('tests.within="soon"', "at '/tests/within': 'soon' does not match pattern"),
            ('networkPolicy.pageFrom=[]', "at '/networkPolicy/pageFrom': minItems: got 0, want 1"),
            ("serviceAccount.create=false", "serviceAccount.name must name an existing ServiceAccount when serviceAccount.create is false"),
        ]:
            with self.subTest(value):
                self.assertIn(said, refused(value))

    def test_an_old_cluster_is_refused(self):
        self.assertIn("kubeVersion: >=1.31.0-0", refused(kubernetes="1.30.9"))
        self.assertTrue(objects(kubernetes="1.31.0"))

    def test_every_value_is_explained_and_in_the_schema(self):
        sys.path.insert(0, str(ROOT / "scripts"))
        import references

        text = (CHART / "values.yaml").read_text()
        schema = json.loads((CHART / "values.schema.json").read_text())

        def resolved(part):
            return schema["$defs"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part

        def leaves(values, part, path):
            part = resolved(part)
            for key, value in values.items():
                here = (*path, key)
                self.assertTrue(key in part.get("properties", {}) or "additionalProperties" in part, here)
                inner = part.get("properties", {}).get(key)
                if isinstance(value, dict) and value:
                    yield from leaves(value, inner, here)
                else:
                    yield here

        explained = {path for path, _ in references.commented_values(text)}
        for leaf in leaves(yaml.safe_load(text), schema, ()):
            self.assertIn(leaf, explained)

    def test_no_object_of_the_schema_is_open_by_accident(self):

        opened = []

        def visit(part, path):
            if isinstance(part, dict):
                if "properties" in part and part.get("additionalProperties") is not False:
                    opened.append(path)
                for key, inner in part.items():
                    visit(inner, f"{path}/{key}")

        visit(json.loads((CHART / "values.schema.json").read_text()), "")
        self.assertEqual(opened, [])

    def test_the_notes_tell_how_kept_crds_are_adopted(self):
        # Only an installation shows notes, and Helm 3 wants a cluster even to pretend one.
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copytree(CHART, pathlib.Path(folder) / "banyan")
            shown = '{{ include (print .Template.BasePath "/NOTES.txt") . | indent 2 }}'
            (copy / "templates/shown.yaml").write_text(f"notes: |\n{shown}\n")
            done = helm("template", RELEASE, str(copy), "--namespace", NAMESPACE, "--kube-version", "1.34.0", "--show-only", "templates/shown.yaml")
        self.assertEqual(done.returncode, 0, done.stderr)
        notes = yaml.safe_load(done.stdout)["notes"]
        self.assertIn("helm adopts them again only by the same release name and namespace (larch, grove)", notes)
        self.assertIn("serves all namespaces with 2 replica(s)", notes)


if __name__ == "__main__":
    unittest.main()
