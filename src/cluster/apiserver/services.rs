//! Cluster IPs and node ports of services: handed out, remembered, released.

mod addresses;
mod families;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use serde_json::{Value, json};

use addresses::Addresses;

use super::error::{ApiError, Cause};
use super::kinds::kind_key;
use super::object_meta;
use super::operations::{Operations, Target};

/// The address of the `kubernetes` service.
pub(crate) const KUBERNETES_SERVICE_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Node ports.
const PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// What is taken, and by which service (`namespace/name`).
pub(crate) struct ServiceAllocator {
    dual_stack: bool,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    addresses: Addresses,
    ports: HashMap<(u16, String), String>,
}

fn owner_of(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!("{}/{}", metadata["namespace"].as_str().unwrap_or(""), metadata["name"].as_str().unwrap_or(""))
}

impl ServiceAllocator {
    /// With `dual_stack` Services may have IPv6 addresses.
    pub(crate) fn new(dual_stack: bool) -> Self {
        Self { dual_stack, taken: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Remembers what a stored service holds.
    pub(crate) fn remember(&self, service: &Value) {
        let owner = owner_of(service);
        let mut taken = self.lock();
        taken.addresses.remember(&service["spec"], &owner);
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
            taken.addresses.forget(owner);
            taken.ports.retain(|_, holder| holder != owner);
        }
        if let Some(service) = service {
            self.remember(service);
        }
    }

    /// Completes a service's families, addresses and ports. `old` is the spec that it replaces.
    fn allocate(&self, service: &mut Value, old: Option<&Value>) -> Result<(), Vec<Cause>> {
        let owner = owner_of(service);
        let spec = &mut service["spec"];
        families::settle(spec, old, self.dual_stack)?;
        let mut taken = self.lock();
        taken.addresses.allocate(spec, &owner).map_err(|cause| vec![cause])?;
        taken.allocate_ports(spec, &owner).map_err(|cause| vec![cause])
    }
}

fn node_port(port: &Value) -> Option<u16> {
    port["nodePort"].as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0)
}

fn protocol(port: &Value) -> String {
    port["protocol"].as_str().unwrap_or("TCP").to_owned()
}

impl Taken {
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
        self.services.allocate(object, None).map_err(|causes| {
            self.release_after_failure(target);
            ApiError::invalid(&target.definition.reference, &target.name, causes)
        })
    }

    /// Follows a change of type, families or ports.
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
            // What the other type had by itself; what the update sets is refused.
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]
            {
                if spec[field] == old["spec"][field]
                    && let Some(map) = spec.as_object_mut()
                {
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
        // An ExternalName had no addresses that could be kept.
        let before = Some(&old["spec"]).filter(|old| old["type"] != "ExternalName");
        self.services.allocate(object, before).map_err(|causes| {
            self.release_after_failure(target);
            ApiError::invalid(&target.definition.reference, &target.name, causes)
        })
    }

    /// Brings the books back to what is stored, after a write that failed.
    pub(crate) fn release_after_failure(&self, target: &Target) {
        if kind_key(target) == ("", "services") {
            let stored = self.find("", "services", &target.namespace, &target.name);
            self.services.settle(&format!("{}/{}", target.namespace, target.name), stored.as_deref());
        }
    }
}
