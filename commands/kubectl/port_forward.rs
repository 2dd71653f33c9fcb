//! `kubectl port-forward`: local ports to a pod, until interrupted.

use clap::Args;
use serde_json::Value;

use super::pods;
use super::session::{Session, error};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{forward_port, kubectl_failure, list, text};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct PortForward {
    /// Pod or type/name
    #[arg(value_name = "POD | TYPE/NAME")]
    target: String,
    /// LOCAL:REMOTE, one number for both, or :REMOTE for any local port
    #[arg(value_name = "[LOCAL:]REMOTE", required = true)]
    ports: Vec<String>,
    /// Local address
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    address: String,
}

impl PortForward {
    /// The Service that is named, if it is one.
    async fn service(&self, session: &Session) -> Result<Option<Value>, Failure> {
        let Some((kind, name)) = self.target.split_once('/') else { return Ok(None) };
        let resource = session.resource(kind).await?;
        if resource.kind != "Service" {
            return Ok(None);
        }
        let path = resource.object(session.namespace_for(&resource), name);
        session.objects.get_path(&path, None).await.map(Some).map_err(kubectl_failure)
    }

    pub(super) async fn run(self, session: &Session) -> Outcome {
        let ports = self.ports.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
        let service = self.service(session).await?;
        let address = if self.address == "localhost" { "127.0.0.1" } else { &self.address };
        let pod = pods::first(&pods::named(session, &self.target).await?, &self.target)?;
        let (namespace, name) = (text(&pod, "/metadata/namespace"), text(&pod, "/metadata/name"));
        let mut running = Vec::new();
        for (local, remote) in ports {
            let remote = target(&remote, service.as_ref(), &pod)?;
            // One number, or the name of a port, is the number on both sides; of a Service it is the Service's.
            let local = match local {
                Some(local) => local,
                None => remote.declared,
            };
            let remote = remote.of_pod;
            let listener = tokio::net::TcpListener::bind((address, local))
                .await
                .map_err(|cause| error(format!("unable to listen on port {local}: {cause}")))?;
            let bound = listener.local_addr()?;
            output::line(&format!("Forwarding from {bound} -> {remote}"));
            running.push(forward_port(
                session.cluster.client.clone(),
                listener,
                namespace.into(),
                name.into(),
                remote,
            ));
        }
        futures::future::try_join_all(running).await?;
        Ok(Exit::Success)
    }
}

/// The local port, if it is given, and the remote one: a number or a name.
fn parse(text: &str) -> Result<(Option<u16>, String), Failure> {
    let bad = || error(format!("invalid port {text:?}: write LOCAL:REMOTE, REMOTE or :REMOTE"));
    let (local, remote) = match text.split_once(':') {
        None => (None, text),
        Some(("", remote)) => (Some(0), remote),
        Some((local, remote)) => (Some(local.parse().map_err(|_| bad())?), remote),
    };
    let is_number = remote.bytes().all(|byte| byte.is_ascii_digit());
    if remote.is_empty() || is_number && remote.parse::<u16>().is_err() {
        return Err(bad());
    }
    Ok((local, remote.to_owned()))
}

/// A remote port.
#[derive(Debug, PartialEq, Eq)]
struct Remote {
    /// As the pod or the Service declares it.
    declared: u16,
    /// Where the pod listens.
    of_pod: u16,
}

/// Ports of Services lead to the ports of pods that they target; names are looked up.
fn target(remote: &str, service: Option<&Value>, pod: &Value) -> Result<Remote, Failure> {
    let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
    let named = |name: &str| {
        let containers = list(pod, "/spec/containers").chain(list(pod, "/spec/initContainers"));
        let mut ports = containers.flat_map(|container| list(container, "/ports"));
        ports.find(|port| text(port, "/name") == name).and_then(|port| number(&port["containerPort"]))
    };
    let Some(service) = service else {
        let port = remote.parse().ok().or_else(|| named(remote));
        let port = port.ok_or_else(|| {
            error(format!("Pod '{}' does not have a named port '{remote}'", text(pod, "/metadata/name")))
        })?;
        return Ok(Remote { declared: port, of_pod: port });
    };
    let name = text(service, "/metadata/name");
    let port = list(service, "/spec/ports")
        .find(|port| {
            text(port, "/name") == remote || remote.parse::<u64>().is_ok_and(|number| port["port"] == number)
        })
        .ok_or_else(|| error(format!("Service {name} does not have a service port {remote}")))?;
    let declared = number(&port["port"]).unwrap_or_default();
    let of_pod = match &port["targetPort"] {
        Value::String(name) => named(name),
        Value::Null => Some(declared),
        other => number(other),
    };
    let of_pod = of_pod.ok_or_else(|| {
        error(format!("Service {name} targets port {}, which its pod does not have", port["targetPort"]))
    })?;
    Ok(Remote { declared, of_pod })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_of_services_lead_to_the_ports_of_pods() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]}});
        let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [
            {"name": "http", "port": 80, "targetPort": "web"}, {"name": "admin", "port": 90, "targetPort": 9090}, {"port": 7}]}});
        let led = |remote: &str| target(remote, Some(&service), &pod).map(|it| (it.declared, it.of_pod)).ok();
        assert_eq!(
            (led("80"), led("http"), led("90"), led("7")),
            (Some((80, 8080)), Some((80, 8080)), Some((90, 9090)), Some((7, 7)))
        );
        assert_eq!(led("8080"), None);
        let own = |remote: &str| target(remote, None, &pod).map(|it| it.of_pod).ok();
        assert_eq!((own("web"), own("15000"), own("none")), (Some(8080), Some(15000), None));
        assert_eq!(parse("8080:http").expect("ports"), (Some(8080), "http".to_owned()));
        assert_eq!(parse("80").expect("ports"), (None, "80".to_owned()));
        assert!(parse("80:70000").is_err() && parse("x:80").is_err());
    }
}
