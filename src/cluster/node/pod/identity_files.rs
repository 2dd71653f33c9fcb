//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a pod.

use super::PodContext;
use crate::network::{Addresses, DNS_ADDRESS};
use crate::node::container_spec::MountSpec;
use crate::node::pod_spec::PodSpec;
use crate::node::volumes::{PodVolumes, VolumeError};

/// Domain of the cluster.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// Writes the files; returns how containers see them.
pub(super) fn write(pod: &PodContext, volumes: &PodVolumes) -> Result<Vec<MountSpec>, VolumeError> {
    let name = if pod.spec.hostname.is_empty() { &pod.name } else { &pod.spec.hostname };
    let files = [
        ("hosts", hosts(&pod.spec, &pod.namespace, name, pod.addresses())),
        ("hostname", format!("{name}\n")),
        ("resolv.conf", resolver(&pod.spec, &pod.namespace)),
    ];
    let mut mounts = Vec::new();
    for (file, text) in files {
        let source = volumes.write_identity(file, &text)?;
        mounts.push(MountSpec { source, target: format!("/etc/{file}").into(), read_only: false });
    }
    Ok(mounts)
}

fn hosts(spec: &PodSpec, namespace: &str, name: &str, addresses: Option<Addresses>) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    for address in addresses.iter().flat_map(Addresses::all) {
        if spec.subdomain.is_empty() {
            text.push_str(&format!("{address}\t{name}\n"));
        } else {
            text.push_str(&format!(
                "{address}\t{name}.{}.{namespace}.svc.{CLUSTER_DOMAIN}\t{name}\n",
                spec.subdomain
            ));
        }
    }
    if !spec.host_aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in &spec.host_aliases {
        text.push_str(&format!("{}\t{}\n", alias.ip, alias.hostnames.join("\t")));
    }
    text
}

fn resolver(spec: &PodSpec, namespace: &str) -> String {
    let (mut servers, mut searches, mut options) = (Vec::new(), Vec::new(), Vec::new());
    if spec.dns_policy != "None" {
        // `Default` too: the node's resolvers are reached by way of the cluster DNS alone.
        servers.push(DNS_ADDRESS.to_string());
        if spec.dns_policy != "Default" {
            searches.push(format!("{namespace}.svc.{CLUSTER_DOMAIN}"));
            searches.push(format!("svc.{CLUSTER_DOMAIN}"));
            searches.push(CLUSTER_DOMAIN.to_owned());
            options.push("ndots:5".to_owned());
        }
    }
    servers.extend(spec.dns_config.nameservers.iter().cloned());
    searches.extend(spec.dns_config.searches.iter().cloned());
    for option in &spec.dns_config.options {
        options.retain(|known: &String| known.split(':').next() != Some(option.name.as_str()));
        options.push(match &option.value {
            Some(value) => format!("{}:{value}", option.name),
            None => option.name.clone(),
        });
    }
    let mut text = String::new();
    if !searches.is_empty() {
        text.push_str(&format!("search {}\n", searches.join(" ")));
    }
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_follow_the_dns_policy() {
        let spec: PodSpec = serde_json::from_value(serde_json::json!({"dnsPolicy": "ClusterFirst"})).unwrap();
        assert_eq!(
            resolver(&spec, "shop"),
            "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
        );
        let spec: PodSpec = serde_json::from_value(serde_json::json!({
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["1.2.3.4"], "searches": ["a.b"], "options": [{"name": "ndots", "value": "2"}]},
        }))
        .unwrap();
        assert_eq!(resolver(&spec, "shop"), "search a.b\nnameserver 1.2.3.4\noptions ndots:2\n");
    }
}
