//! Cluster IPs and node ports of services: handed out, remembered, released.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::error::{ApiError, Cause};
use super::kinds::kind_key;
use super::object_meta;
use super::operations::{Operations, Target};

/// First address of the service range 10.96.0.0/16.
const RANGE_START: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const RANGE_SIZE: u32 = 1 << 16;
/// The address of the `kubernetes` service.
pub(crate) const KUBERNETES_SERVICE_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Addresses below this offset (10.96.0.10 of the cluster DNS among them) are only given out on request, as in Kubernetes.
const DYNAMIC_OFFSET: u32 = 256;
/// Node ports.
const PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// What is taken, and by which service (`namespace/name`).
#[derive(Default)]
pub(crate) struct ServiceAllocator {
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    addresses: HashMap<Ipv4Addr, String>,
    ports: HashMap<(u16, String), String>,
}

fn owner_of(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!("{}/{}", metadata["namespace"].as_str().unwrap_or(""), metadata["name"].as_str().unwrap_or(""))
}

fn addresses(spec: &Value) -> impl Iterator<Item = Ipv4Addr> {
    spec["clusterIPs"].as_array().into_iter().flatten().filter_map(|address| address.as_str()?.parse().ok())
}

impl ServiceAllocator {
    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Remembers what a stored service holds.
    pub(crate) fn remember(&self, service: &Value) {
        let owner = owner_of(service);
        let mut taken = self.lock();
        for address in addresses(&service["spec"]) {
            taken.addresses.insert(address, owner.clone());
        }
        for port in service["spec"]["ports"].as_array().into_iter().flatten() {
            if let Some(number) = node_port(port) {
                taken.ports.insert((number, protocol(port)), owner.clone());
            }
        }
    }

    /// Forgets everything a service held, then remembers its present state, if any.
    pub(crate) fn settle(&self, owner: &str, service: Option<&Value>) {
        {
            let mut taken = self.lock();
            taken.addresses.retain(|_, holder| holder != owner);
            taken.ports.retain(|_, holder| holder != owner);
        }
        if let Some(service) = service {
            self.remember(service);
        }
    }

    /// Completes a service's addresses and ports.
    fn allocate(&self, service: &mut Value) -> Result<(), Cause> {
        let owner = owner_of(service);
        let mut taken = self.lock();
        let spec = &mut service["spec"];
        taken.allocate_address(spec, &owner)?;
        taken.allocate_ports(spec, &owner)
    }
}

fn node_port(port: &Value) -> Option<u16> {
    port["nodePort"].as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0)
}

fn protocol(port: &Value) -> String {
    port["protocol"].as_str().unwrap_or("TCP").to_owned()
}

impl Taken {
    fn allocate_address(&mut self, spec: &mut Value, owner: &str) -> Result<(), Cause> {
        if spec["type"] == "ExternalName" {
            return Ok(());
        }
        let wanted =
            spec["clusterIP"].as_str().or_else(|| spec["clusterIPs"][0].as_str()).unwrap_or("").to_owned();
        let address = match wanted.as_str() {
            "None" => "None".to_owned(),
            "" => {
                let address = self
                    .free_address()
                    .ok_or_else(|| internal("spec.clusterIPs", "the service range is full"))?;
                self.addresses.insert(address, owner.to_owned());
                address.to_string()
            }
            text => {
                self.take_address(text, owner)?;
                text.to_owned()
            }
        };
        // A headless service without a selector belongs to whoever writes its endpoints, of either family.
        let selects = spec["selector"].as_object().is_some_and(|selector| !selector.is_empty());
        let open = address == "None" && !selects;
        if !open {
            one_family(spec)?;
        }
        spec["clusterIP"] = json!(address);
        spec["clusterIPs"] = json!([address]);
        if spec["ipFamilies"].as_array().is_none_or(Vec::is_empty) {
            spec["ipFamilies"] = if open { json!(["IPv4", "IPv6"]) } else { json!(["IPv4"]) };
        }
        if spec["ipFamilyPolicy"].is_null() {
            spec["ipFamilyPolicy"] = json!(if open { "RequireDualStack" } else { "SingleStack" });
        }
        Ok(())
    }

    fn take_address(&mut self, text: &str, owner: &str) -> Result<(), Cause> {
        let refuse = |detail: String| Err(Cause::invalid("spec.clusterIPs", &json!([text]), &detail));
        let Ok(address) = text.parse::<Ipv4Addr>() else {
            return refuse(
                "failed to allocate IP: must be a valid IPv4 address; this cluster has no IPv6 services"
                    .to_owned(),
            );
        };
        let offset = u32::from(address).wrapping_sub(RANGE_START);
        if offset == 0 || offset >= RANGE_SIZE - 1 {
            return refuse(format!(
                "failed to allocate IP {text}: the provided IP ({text}) is not in the valid range. The range of valid IPs is 10.96.0.0/16"
            ));
        }
        match self.addresses.get(&address) {
            Some(holder) if holder != owner => {
                refuse(format!("failed to allocate IP {text}: provided IP is already allocated"))
            }
            _ => {
                self.addresses.insert(address, owner.to_owned());
                Ok(())
            }
        }
    }

    fn free_address(&self) -> Option<Ipv4Addr> {
        let span = RANGE_SIZE - 1 - DYNAMIC_OFFSET;
        let start = u32::from_be_bytes(object_meta::random()) % span;
        (0..span)
            .map(|step| Ipv4Addr::from(RANGE_START + DYNAMIC_OFFSET + (start + step) % span))
            .find(|address| !self.addresses.contains_key(address))
    }

    fn allocate_ports(&mut self, spec: &mut Value, owner: &str) -> Result<(), Cause> {
        let kind = spec["type"].as_str().unwrap_or("").to_owned();
        let wants =
            kind == "NodePort" || (kind == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != false);
        for (at, port) in spec["ports"].as_array_mut().into_iter().flatten().enumerate() {
            let field = format!("spec.ports[{at}].nodePort");
            match node_port(port) {
                Some(number) => self.take_port(number, &protocol(port), owner, &field)?,
                None if wants => {
                    let number = self
                        .free_port(&protocol(port))
                        .ok_or_else(|| internal(&field, "no free node port"))?;
                    self.ports.insert((number, protocol(port)), owner.to_owned());
                    port["nodePort"] = json!(number);
                }
                None => {
                    if let Some(map) = port.as_object_mut() {
                        map.remove("nodePort");
                    }
                }
            }
        }
        Ok(())
    }

    fn take_port(&mut self, number: u16, protocol: &str, owner: &str, field: &str) -> Result<(), Cause> {
        if !PORTS.contains(&number) {
            let detail = format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                PORTS.start(),
                PORTS.end()
            );
            return Err(Cause::invalid(field, &json!(number), &detail));
        }
        let key = (number, protocol.to_owned());
        if self.ports.get(&key).is_some_and(|holder| holder != owner) {
            return Err(Cause::invalid(field, &json!(number), "provided port is already allocated"));
        }
        self.ports.insert(key, owner.to_owned());
        Ok(())
    }

    fn free_port(&self, protocol: &str) -> Option<u16> {
        let span = u32::from(PORTS.end() - PORTS.start()) + 1;
        let start = u32::from_be_bytes(object_meta::random()) % span;
        let candidates = (0..span).map(|step| PORTS.start() + ((start + step) % span) as u16);
        candidates.into_iter().find(|number| !self.ports.contains_key(&(*number, protocol.to_owned())))
    }
}

/// Refuses what only a cluster with two address families has, in the words of a Kubernetes with one. `PreferDualStack` is content with one.
fn one_family(spec: &Value) -> Result<(), Cause> {
    let families = spec["ipFamilies"].as_array().into_iter().flatten();
    if let Some((at, family)) = families.enumerate().find(|(_, family)| *family != "IPv4") {
        return Err(Cause::invalid(
            format!("spec.ipFamilies[{at}]"),
            family,
            "not configured on this cluster",
        ));
    }
    if spec["ipFamilyPolicy"] == "RequireDualStack" {
        let detail = "this cluster is not configured for dual-stack services";
        return Err(Cause::invalid("spec.ipFamilyPolicy", &spec["ipFamilyPolicy"], detail));
    }
    Ok(())
}

fn internal(field: &str, detail: &str) -> Cause {
    Cause {
        reason: "InternalError".to_owned(),
        message: format!("Internal error: {detail}"),
        field: field.to_owned(),
    }
}

impl Operations {
    /// Gives a new service its addresses.
    pub(crate) fn allocate_for_create(&self, target: &Target, object: &mut Value) -> Result<(), ApiError> {
        if kind_key(target) != ("", "services") {
            return Ok(());
        }
        self.services.allocate(object).map_err(|cause| {
            self.release_after_failure(target);
            ApiError::invalid(&target.definition.reference, &target.name, vec![cause])
        })
    }

    /// Follows a change of type or ports.
    pub(crate) fn allocate_for_update(
        &self,
        target: &Target,
        old: &Value,
        object: &mut Value,
    ) -> Result<(), ApiError> {
        if kind_key(target) != ("", "services")
            || !target.subresource.is_empty()
            || object["spec"] == old["spec"]
        {
            return Ok(());
        }
        let spec = &mut object["spec"];
        if spec["type"] == "ExternalName" && old["spec"]["type"] != "ExternalName" {
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]
            {
                if let Some(map) = spec.as_object_mut() {
                    map.remove(field);
                }
            }
        }
        let drops_ports = spec["type"] == "ClusterIP" && old["spec"]["type"] != "ClusterIP";
        if drops_ports {
            for port in spec["ports"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                port.remove("nodePort");
            }
            for field in ["externalTrafficPolicy", "allocateLoadBalancerNodePorts", "healthCheckNodePort"] {
                if let Some(map) = spec.as_object_mut() {
                    map.remove(field);
                }
            }
        }
        self.services
            .allocate(object)
            .map_err(|cause| ApiError::invalid(&target.definition.reference, &target.name, vec![cause]))
    }

    /// Brings the books back to what is stored, after a write that failed.
    pub(crate) fn release_after_failure(&self, target: &Target) {
        if kind_key(target) == ("", "services") {
            let stored = self.find("", "services", &target.namespace, &target.name);
            self.services.settle(&format!("{}/{}", target.namespace, target.name), stored.as_deref());
        }
    }
}
