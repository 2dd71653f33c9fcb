//! Services.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::apiserver::error::Cause;
use crate::apiserver::object_meta::{NameRule, validate_labels, wrong_name};

pub(super) fn validate(service: &Value, causes: &mut Vec<Cause>) {
    let spec = &service["spec"];
    let kind = spec["type"].as_str().unwrap_or("ClusterIP");
    if !matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName") {
        let supported = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"].map(str::to_owned);
        causes.push(Cause::not_supported("spec.type", &spec["type"], &supported));
    }
    let headless = spec["clusterIP"] == "None";
    let none = Vec::new();
    let ports = spec["ports"].as_array().unwrap_or(&none);
    if kind == "ExternalName" {
        if spec["externalName"].as_str().unwrap_or("").is_empty() {
            causes.push(Cause::required("spec.externalName", "externalName must be set"));
        }
    } else if ports.is_empty() && !headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    if headless && matches!(kind, "NodePort" | "LoadBalancer") {
        let detail = format!("may not be set to 'None' for {kind} services");
        causes.push(Cause::invalid("spec.clusterIPs[0]", &json!("None"), &detail));
    }
    validate_ports(ports, causes);
    validate_labels(&spec["selector"], "spec.selector", causes);
    if !matches!(spec["sessionAffinity"].as_str(), None | Some("None" | "ClientIP")) {
        let supported = ["ClientIP", "None"].map(str::to_owned);
        causes.push(Cause::not_supported("spec.sessionAffinity", &spec["sessionAffinity"], &supported));
    }
}

fn validate_ports(ports: &[Value], causes: &mut Vec<Cause>) {
    let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
    for (at, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{at}]");
        match port["name"].as_str().unwrap_or("") {
            "" if ports.len() > 1 => causes.push(Cause::required(format!("{path}.name"), "")),
            "" => {}
            name => {
                if let Some(detail) = wrong_name(name, NameRule::Label) {
                    causes.push(Cause::invalid(format!("{path}.name"), &port["name"], &detail));
                }
                if !names.insert(name) {
                    causes.push(Cause::duplicate(format!("{path}.name"), &port["name"]));
                }
            }
        }
        if !port["port"].as_i64().is_some_and(|number| (1..=65535).contains(&number)) {
            causes.push(Cause::invalid(
                format!("{path}.port"),
                &port["port"],
                "must be between 1 and 65535, inclusive",
            ));
        }
        if let Some(number) = port["targetPort"].as_i64()
            && !(1..=65535).contains(&number)
        {
            causes.push(Cause::invalid(
                format!("{path}.targetPort"),
                &port["targetPort"],
                "must be between 1 and 65535, inclusive",
            ));
        }
        if !matches!(port["protocol"].as_str(), None | Some("TCP" | "UDP" | "SCTP")) {
            let supported = ["SCTP", "TCP", "UDP"].map(str::to_owned);
            causes.push(Cause::not_supported(format!("{path}.protocol"), &port["protocol"], &supported));
        }
        if !numbers.insert((port["port"].as_i64(), port["protocol"].as_str())) {
            causes.push(Cause::duplicate(path, &json!({"port": port["port"], "protocol": port["protocol"]})));
        }
    }
}
