//! `kubectl cp`: files and folders into a container and out of one, through the container's own `tar`.

mod pack;
mod unpack;

use std::path::Path;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::pods;
use super::session::{Session, error};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{kubectl_failure, text};

#[derive(Debug, Args)]
pub(super) struct Cp {
    /// What is copied: a local path, or [NAMESPACE/]POD:PATH
    #[arg(value_name = "FROM")]
    from: String,
    /// Where it goes: a local path, or [NAMESPACE/]POD:PATH
    #[arg(value_name = "TO")]
    to: String,
    /// Container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Local(&'a Path),
    Remote { namespace: Option<&'a str>, pod: &'a str, path: &'a str },
}

/// A container that commands run in.
struct Remote {
    api: Api<Pod>,
    pod: String,
    container: String,
}

impl Cp {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        match (place(&self.from)?, place(&self.to)?) {
            (Place::Local(from), Place::Remote { namespace, pod, path }) => {
                let remote = self.remote(session, namespace, pod).await?;
                upload(&remote, from, path).await?;
            }
            (Place::Remote { namespace, pod, path }, Place::Local(to)) => {
                let remote = self.remote(session, namespace, pod).await?;
                download(&remote, path, to).await?;
            }
            (Place::Local(_), Place::Local(_)) => {
                return Err(error("one of src or dest must be a remote file specification"));
            }
            _ => return Err(error("one of src or dest must be a local file specification")),
        }
        Ok(Exit::Success)
    }

    async fn remote(&self, session: &Session, namespace: Option<&str>, pod: &str) -> Result<Remote, Failure> {
        let namespace = namespace.unwrap_or(&session.namespace);
        let kind = crate::kubernetes::Resource::pods();
        let found = session.objects.get_path(&kind.object(Some(namespace), pod), None).await;
        let found = found.map_err(kubectl_failure)?;
        let container = pods::container(&found, self.container.as_deref())?;
        let api = Api::namespaced(session.cluster.client.clone(), namespace);
        Ok(Remote { api, pod: text(&found, "/metadata/name").to_owned(), container })
    }
}

/// `NAMESPACE/POD:PATH`, `POD:PATH`, or a local path.
fn place(text: &str) -> Result<Place<'_>, Failure> {
    let Some((pod, path)) =
        text.split_once(':').filter(|(pod, _)| !pod.is_empty() && !pod.starts_with(['.', '/']))
    else {
        return Ok(Place::Local(Path::new(text)));
    };
    let (namespace, pod) = match pod.split('/').collect::<Vec<_>>().as_slice() {
        [pod] => (None, *pod),
        [namespace, pod] => (Some(*namespace), *pod),
        _ => return Err(error("you must specify a pod as [NAMESPACE/]POD:PATH")),
    };
    if path.is_empty() {
        return Err(error("filepath can not be empty"));
    }
    Ok(Place::Remote { namespace, pod, path })
}

async fn upload(remote: &Remote, from: &Path, to: &str) -> Result<(), Failure> {
    if !from.exists() {
        return Err(error(format!("{} doesn't exist in local filesystem", from.display())));
    }
    let mut to = if to.len() > 1 { to.trim_end_matches('/').to_owned() } else { to.to_owned() };
    let into_folder = remote.run(&["test", "-d", &to], &[]).await?.is_ok();
    if into_folder {
        let name = from.file_name().or_else(|| from.parent()?.file_name());
        let name = name
            .and_then(|name| name.to_str())
            .ok_or_else(|| error(format!("{} has no name", from.display())))?;
        to = format!("{}/{name}", to.trim_end_matches('/'));
    }
    let (folder, name) = to.rsplit_once('/').unwrap_or((".", &to));
    let folder = if folder.is_empty() { "/" } else { folder };
    let archive = pack::pack(from, name)?;
    remote.run(&["tar", "-xmf", "-", "-C", folder], &archive).await?.map_err(error)?;
    Ok(())
}

async fn download(remote: &Remote, from: &str, to: &Path) -> Result<(), Failure> {
    let archive = remote.run(&["tar", "cf", "-", from], &[]).await?.map_err(error)?;
    let name = Path::new(from).file_name().unwrap_or_default();
    let to = if to.is_dir() { to.join(name) } else { to.to_owned() };
    unpack::unpack(&archive, from, &to)
}

impl Remote {
    /// Runs a program with this input: what it printed, or what it said when it failed.
    async fn run(&self, command: &[&str], input: &[u8]) -> Result<Result<Vec<u8>, String>, Failure> {
        let parameters = AttachParams {
            container: Some(self.container.clone()),
            stdin: !input.is_empty(),
            stdout: true,
            stderr: true,
            ..AttachParams::default()
        };
        let mut process =
            self.api.exec(&self.pod, command.iter().copied(), &parameters).await.map_err(kubectl_failure)?;
        let status = process.take_status();
        let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
        let write = async {
            if let Some(mut stdin) = stdin {
                // A program that ends early says so by its status.
                let _gone = stdin.write_all(input).await;
                let _gone = stdin.shutdown().await;
            }
        };
        let ((), printed, said) = futures::join!(write, all(stdout), all(stderr));
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        match status.filter(is_failure) {
            None => Ok(Ok(printed?)),
            Some(status) => {
                let said = String::from_utf8_lossy(&said?).trim().to_owned();
                Ok(Err(if said.is_empty() { status.message.unwrap_or_default() } else { said }))
            }
        }
    }
}

fn is_failure(status: &Status) -> bool {
    status.status.as_deref() == Some("Failure")
}

async fn all(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let remote = |namespace, pod, path| Some(Place::Remote { namespace, pod, path });
        assert_eq!(place("/tmp/a").ok(), Some(Place::Local(Path::new("/tmp/a"))));
        assert_eq!(place("./a:b").ok(), Some(Place::Local(Path::new("./a:b"))));
        assert_eq!(place("pod:/tmp/a").ok(), remote(None, "pod", "/tmp/a"));
        assert_eq!(place("foo/pod:a").ok(), remote(Some("foo"), "pod", "a"));
        assert!(place("a/b/c:/x").is_err() && place("pod:").is_err());
    }
}
