//! Components `IngressGateways` and `EgressGateways`: a router Deployment with Service, account and the right to read secrets.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::customize::{self, Settings};
use super::{RenderError, access, workload};
use crate::inject::{RouterPod, router_pod};
use crate::profile::Installation;

/// Which way traffic flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    const fn component(self) -> &'static str {
        match self {
            Self::Ingress => "ingressGateways",
            Self::Egress => "egressGateways",
        }
    }

    /// The gateway whose values others of the same direction start from.
    const fn template(self) -> &'static str {
        match self {
            Self::Ingress => "istio-ingressgateway",
            Self::Egress => "istio-egressgateway",
        }
    }
}

/// One gateway, resolved.
struct Gateway<'a> {
    installation: &'a Installation,
    component: &'a Value,
    name: String,
    namespace: String,
    values: Value,
    labels: BTreeMap<String, String>,
}

/// Objects of all gateways of one direction that are on.
pub(super) fn objects(installation: &Installation, direction: Direction) -> Result<Vec<Value>, RenderError> {
    let list = installation
        .spec
        .pointer(&format!("/components/{}", direction.component()))
        .and_then(Value::as_array);
    let mut objects = Vec::new();
    for component in list.into_iter().flatten() {
        let gateway = Gateway::new(installation, component, direction);
        if gateway.enabled() {
            objects.extend(gateway.objects()?);
        }
    }
    Ok(objects)
}

impl<'a> Gateway<'a> {
    fn new(installation: &'a Installation, component: &'a Value, direction: Direction) -> Self {
        let text = |key: &str| component.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let name = text("name").unwrap_or(direction.template()).to_owned();
        let all = &installation.values["gateways"];
        let mut values = all[direction.template()].clone();
        if name != direction.template()
            && let Some(own) = all.get(&name)
        {
            crate::profile::merge(&mut values, own.clone());
        }
        let mut labels: BTreeMap<String, String> = string_map(&values["labels"]);
        labels.extend(string_map(&component["label"]));
        if name != direction.template() && component.get("label").is_none() {
            labels.insert("app".into(), name.clone());
        }
        let namespace = text("namespace").unwrap_or(&installation.namespace).to_owned();
        Self { installation, component, name, namespace, values, labels }
    }

    fn enabled(&self) -> bool {
        let on = |value: &Value| value.get("enabled").and_then(Value::as_bool);
        on(self.component).unwrap_or(false) || on(&self.values) == Some(true)
    }

    fn objects(&self) -> Result<Vec<Value>, RenderError> {
        let account = format!("{}-service-account", self.name);
        let labels = json!(self.labels);
        let mut objects = vec![
            access::service_account(&self.namespace, &account, labels.clone()),
            self.service(),
            self.deployment(&account),
        ];
        let role = format!("{}-sds", self.name);
        objects.extend(access::role(
            &self.namespace,
            &role,
            access::gateway_rules(),
            &account,
            labels.clone(),
        ));
        let values = &self.installation.values;
        if values
            .pointer("/global/defaultPodDisruptionBudget/enabled")
            .and_then(Value::as_bool)
            .unwrap_or(true)
        {
            objects.push(workload::disruption_budget(
                &self.namespace,
                &self.name,
                labels.clone(),
                labels.clone(),
            ));
        }
        if self.autoscaled() {
            objects.push(workload::autoscaler(&self.namespace, &self.name, &self.values, labels));
        }
        let settings = Settings {
            component: &self.name,
            settings: self.component,
            workload: &self.name,
            service: &self.name,
        };
        customize::apply(&mut objects, &settings)?;
        Ok(objects)
    }

    fn autoscaled(&self) -> bool {
        self.values.get("autoscaleEnabled").and_then(Value::as_bool).unwrap_or(true)
    }

    fn service(&self) -> Value {
        let mut spec = json!({
            "type": self.values["type"],
            "selector": self.labels,
            "ports": self.values["ports"],
        });
        for key in ["loadBalancerIP", "externalTrafficPolicy"] {
            if let Some(text) = self.values.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()) {
                spec[key] = json!(text);
            }
        }
        let mut annotations = json!({});
        workload::extend(&mut annotations, &self.values["serviceAnnotations"]);
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": self.labels, "annotations": annotations},
            "spec": spec,
        });
        workload::address_families(&mut service, &self.values);
        service
    }

    fn deployment(&self, account: &str) -> Value {
        let mut deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": self.labels},
            "spec": {
                "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"}},
                "selector": {"matchLabels": self.labels},
                "template": self.template(account),
            },
        });
        if !self.autoscaled() {
            deployment["spec"]["replicas"] = json!(1);
        }
        deployment
    }

    fn template(&self, account: &str) -> Value {
        let installation = self.installation;
        let injection = self.values.get("injectionTemplate").and_then(Value::as_str).unwrap_or_default();
        let injected = if injection.is_empty() { "false" } else { "true" };
        let mut labels: Map<String, Value> =
            self.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        for (key, value) in [
            ("istio.io/rev", installation.revision_label()),
            ("sidecar.istio.io/inject", injected),
            ("istio.io/dataplane-mode", "none"),
            ("service.istio.io/canonical-name", &self.name),
            ("service.istio.io/canonical-revision", "latest"),
        ] {
            labels.insert(key.to_owned(), json!(value));
        }
        let mut annotations = json!({
            "prometheus.io/port": "15020", "prometheus.io/path": "/stats/prometheus", "prometheus.io/scrape": "true",
            "sidecar.istio.io/inject": injected, "istio.io/rev": installation.revision_label(),
        });
        if !injection.is_empty() {
            annotations["inject.istio.io/templates"] = json!(injection);
        }
        workload::extend(&mut annotations, &self.values["podAnnotations"]);
        let mut pod = if injection.is_empty() { self.router(account) } else { self.to_inject(account) };
        workload::placement(&mut pod, &self.values, &installation.values);
        json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": pod})
    }

    fn container_ports(&self) -> Vec<Value> {
        let ports = self.values["ports"].as_array().into_iter().flatten();
        let target = |port: &Value| {
            let number = port.get("targetPort").or_else(|| port.get("port")).cloned().unwrap_or_default();
            json!({"containerPort": number, "protocol": "TCP"})
        };
        ports.map(target).collect()
    }

    /// A pod that is complete.
    fn router(&self, account: &str) -> Value {
        let installation = self.installation;
        let mut values = installation.values.clone();
        values["global"]["proxy"]["resources"] = self.values["resources"].clone();
        router_pod(&RouterPod {
            values: &values,
            mesh: &installation.mesh,
            revision: installation.revision_label(),
            name: &self.name,
            namespace: &self.namespace,
            service_account: account,
            container_ports: self.container_ports(),
            environment: string_map(&self.values["env"]),
        })
    }

    /// A pod that the webhook makes a gateway of, by the template of `injectionTemplate`: what the cluster's control plane says counts,
    /// not what this installation would.
    fn to_inject(&self, account: &str) -> Value {
        let environment = string_map(&self.values["env"]);
        let variables: Vec<Value> =
            environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({
            "serviceAccountName": account,
            "containers": [{
                "name": "istio-proxy", "image": "auto", "ports": self.container_ports(), "env": variables,
                "resources": self.values["resources"],
            }],
        })
    }
}

fn string_map(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), workload::text(value))).collect()
}
